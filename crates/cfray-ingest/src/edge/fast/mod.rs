//! The fast parser: rows of one job repeat the same keys in the same order, so the bytes between two
//! values are learned once and then only compared.
//!
//! # Why it is exact
//!
//! A [`Template`] holds, for one row that the full parser accepted, the bytes before its first value,
//! between each two values, and after the last. Walking another row, each of these literals must stand
//! where the last value ended, and each value is skipped by the same grammar as in the full parser
//! ([`super::lex`]). By induction both parsers stand at the same value at each step: equal bytes from
//! an equal state give an equal state. So the keys are those of the learned row, at the same depth and
//! in the same order; nothing inside a string or a nested object is ever taken for a key, and every
//! byte of the row has been looked at. Anything else (another key, a control byte in a string, the
//! end of the line) makes the walk give up, and the full parser reads the row.
//!
//! # What makes it fast
//!
//! Values that most rows share (`"SecurityAction":"","SecurityActions":[],...`) are compared together
//! with the literals around them, as one long literal. Which ones is learned from the rows themselves
//! and may be wrong for a row: then the steps inside that literal are walked one by one.
//! Where one value ends says where the next literal begins, so a row is a chain in which each load waits for the one before:
//! several rows side by side ([`stride`]) keep the machine busy meanwhile.

mod stride;

pub(crate) use stride::LANES;

use super::fields::{NestedName, Target};
use super::full::{self, Layout};
use super::lex::{nested_end, scalar_end};
use super::simd::{self, Lanes, Narrow, UNIT, Width, digits_end};
use super::value::{Kind, Slot, Slots};
use std::sync::Arc;

/// Rows that are watched before values are merged into literals.
const WATCH: u32 = if cfg!(test) { 4 } else { 64 };
/// A merged literal must fit at least this share of rows, in percent.
const FIT: u32 = 85;

/// One literal, then a value (the last step has none).
#[derive(Clone, Copy, Debug)]
struct Step {
    /// Range of the literal in `Template::literals`.
    start: u32,
    end: u32,
    /// What the value fills.
    take: Option<Target>,
    /// The value may hold the user's dotted names: index into `Template::below`.
    below: Option<u32>,
}

/// A value inside a merged literal.
#[derive(Clone, Copy, Debug)]
struct Inner {
    take: Target,
    slot: Slot,
}

/// Several steps compared at once: all their literals, and all values but the last one's.
#[derive(Clone, Copy, Debug)]
struct Run {
    /// The end of the merged literal, which is compared first.
    tail: [u8; UNIT],
    /// Its bytes, one bit each, and their number.
    mask: u64,
    tail_len: u32,
    /// The merged literal before that, whole units: a range of `Template::merged`.
    lead: u32,
    lead_end: u32,
    /// Range of `Template::inner`.
    inner: u32,
    inner_end: u32,
    /// Steps `first..=last`.
    first: u32,
    last: u32,
    /// What the last step's value fills, where that does not depend on the row; beyond all fields for nothing.
    field: u8,
    /// How the last step's value is written in most rows.
    value: Written,
}

/// How a value is written in most rows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Written {
    /// There is none: the row ends.
    End,
    /// A string; the literal before it holds its first quote.
    Text,
    /// A number.
    Number,
    /// Anything.
    Any,
}

/// How often a step's value was the same, by majority vote.
#[derive(Clone, Default, Debug)]
struct Vote {
    value: Vec<u8>,
    count: u32,
}

/// What one row shape looks like.
#[derive(Debug)]
pub(crate) struct Template {
    literals: Vec<u8>,
    steps: Vec<Step>,
    /// Fields of the shape, see [`Slots::mask`]; with dotted names it depends on the row.
    mask: u64,
    width: u32,
    /// Some value may hold dotted names, so ranks are settled row by row.
    dynamic: bool,
    runs: Vec<Run>,
    merged: Vec<[u8; UNIT]>,
    inner: Vec<Inner>,
    below: Vec<Arc<[NestedName]>>,
    votes: Vec<Vote>,
    /// Rows watched so far; `WATCH` when merging is done.
    watched: u32,
    rows: u64,
    misses: u64,
    /// How the machine searches.
    search: Width,
}

impl Template {
    /// Learns from a row that the full parser read. `text` is the line without its newline.
    /// Only rows that begin and end with the line may be given.
    pub fn learn(text: &[u8], layout: &Layout, slots: &Slots) -> Option<Self> {
        let mut literals = Vec::new();
        let mut steps: Vec<Step> = Vec::with_capacity(layout.members.len() + 1);
        let mut below = Vec::new();
        let mut at = 0;
        let dynamic = layout.members.iter().any(|m| m.below.is_some());
        for (i, member) in layout.members.iter().enumerate() {
            let start = literals.len() as u32;
            literals.extend_from_slice(text.get(at..member.start)?);
            // Of several names for one field only the one that won is taken, unless that depends on the row.
            let wins = |t: &Target| {
                dynamic
                    || !layout.members.iter().enumerate().any(|(j, m)| {
                        m.target.is_some_and(|other| other.field == t.field && (other.rank < t.rank || other.rank == t.rank && j > i))
                    })
            };
            let names = member.below.as_ref().map(|names| {
                below.push(Arc::clone(names));
                below.len() as u32 - 1
            });
            steps.push(Step { start, end: literals.len() as u32, take: member.target.filter(wins), below: names });
            at = member.end;
        }
        if steps.is_empty() {
            return None;
        }
        let start = literals.len() as u32;
        literals.extend_from_slice(text.get(at..)?);
        steps.push(Step { start, end: literals.len() as u32, take: None, below: None });
        let votes = vec![Vote::default(); steps.len()];
        let mut template = Self {
            literals,
            steps,
            mask: slots.mask,
            width: slots.width,
            dynamic,
            runs: Vec::new(),
            merged: Vec::new(),
            inner: Vec::new(),
            below,
            votes,
            watched: 0,
            rows: 0,
            misses: 0,
            search: Width::of_machine(),
        };
        template.compile(|_| false);
        Some(template)
    }

    /// Has the row this shape? (Used so that a row the walk gave up on for its values is not learned again.)
    pub fn same_shape(&self, other: &Self) -> bool {
        self.literals == other.literals
            && self.steps.len() == other.steps.len()
            && self.steps.iter().zip(&other.steps).all(|(a, b)| a.end == b.end)
    }

    /// Prepares `slots` for rows of this shape.
    pub fn prepare(&self, slots: &mut Slots) {
        slots.clear();
        slots.mask = self.mask;
        slots.width = self.width;
    }

    /// Builds the runs: a step whose value is `stable` is compared together with the next one.
    fn compile(&mut self, stable: impl Fn(usize) -> bool) {
        self.runs.clear();
        self.merged.clear();
        self.inner.clear();
        let mut fit = 100u32;
        let (mut first, mut inner, mut literal) = (0, 0, Vec::new());
        for (i, step) in self.steps.iter().enumerate() {
            literal.extend_from_slice(self.literals.get(step.start as usize..step.end as usize).unwrap_or_default());
            let last = i + 1 == self.steps.len();
            let vote = self.votes.get(i);
            let share = vote.map_or(0, Vote::share);
            let value = vote.map(|v| v.value.as_slice()).unwrap_or_default();
            if !last && stable(i) && fit * share / 100 >= FIT {
                fit = fit * share / 100;
                if let Some(take) = step.take {
                    self.inner.push(Inner { take, slot: written(value, literal.len()) });
                }
                literal.extend_from_slice(value);
                continue;
            }
            let plain = !self.dynamic && step.below.is_none();
            let value = match value.first() {
                _ if last => Written::End,
                Some(b'"') if plain => Written::Text,
                Some(b'-' | b'0'..=b'9') if plain => Written::Number,
                _ => Written::Any,
            };
            if value == Written::Text {
                literal.push(b'"');
            }
            let (lead, rest) = literal.as_chunks::<UNIT>();
            // A literal of whole units keeps its last one as its tail.
            let (lead, rest) = match lead.split_last() {
                Some((unit, lead)) if rest.is_empty() => (lead, unit.as_slice()),
                _ => (lead, rest),
            };
            let mut tail = [0; UNIT];
            tail.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
            let start = self.merged.len() as u32;
            self.merged.extend_from_slice(lead);
            self.runs.push(Run {
                tail,
                mask: if rest.is_empty() { 0 } else { u64::MAX >> (UNIT - rest.len()) },
                tail_len: rest.len() as u32,
                lead: start,
                lead_end: self.merged.len() as u32,
                inner,
                inner_end: self.inner.len() as u32,
                first,
                last: i as u32,
                field: step.take.filter(|_| plain).map_or(u8::MAX, |take| take.field as u8),
                value,
            });
            (first, inner, fit) = (i as u32 + 1, self.inner.len() as u32, 100);
            literal.clear();
        }
    }

    /// Reads one row at the beginning of `text`: its length without the newline, or `None` when the
    /// row has another shape. `text` may go on after the row.
    #[inline]
    pub fn walk(&mut self, text: &[u8], slots: &mut Slots) -> Option<usize> {
        if self.dynamic {
            self.prepare(slots);
            slots.mask = 0;
        }
        let end = if self.watched < WATCH { self.watch(text, slots)? } else { self.stride(text, slots)? };
        matches!(text.get(end), None | Some(b'\n')).then_some(end)
    }

    /// [`Self::walk`], step by step, counting which values stay the same.
    fn watch(&mut self, text: &[u8], slots: &mut Slots) -> Option<usize> {
        let mut at = 0usize;
        let count = self.steps.len();
        for i in 0..count - 1 {
            let step = self.steps.get(i).copied()?;
            let literal = self.literals.get(step.start as usize..step.end as usize)?;
            if !Narrow::continues(text, at, literal) {
                return None;
            }
            let start = at + literal.len();
            at = self.value::<Narrow>(text, start, &step, slots)?;
            if step.below.is_none()
                && let Some(vote) = self.votes.get_mut(i)
            {
                vote.cast(text.get(start..at)?);
            }
        }
        let step = self.steps.last()?;
        let literal = self.literals.get(step.start as usize..step.end as usize)?;
        if !Narrow::continues(text, at, literal) {
            return None;
        }
        at += literal.len();
        self.watched += 1;
        if self.watched == WATCH {
            let stable: Vec<bool> = self.votes.iter().map(|v| v.share() >= FIT).collect();
            self.compile(|i| stable.get(i).copied().unwrap_or_default());
            for vote in &mut self.votes {
                *vote = Vote::default();
            }
        }
        Some(at)
    }

    /// Skips the value at `at` and takes it where the step says so.
    #[inline(always)]
    fn value<L: Lanes>(&self, text: &[u8], at: usize, step: &Step, slots: &mut Slots) -> Option<usize> {
        let (slot, end) = match *text.get(at)? {
            b'"' => {
                let mut stop = L::string_stop(text, at + 1)?;
                let mut kind = Kind::Text;
                while let Some(b'\\') = text.get(stop) {
                    kind = Kind::Escaped;
                    if *text.get(stop + 1)? < 0x20 {
                        return None;
                    }
                    stop = L::string_stop(text, stop + 2)?;
                }
                if text.get(stop) != Some(&b'"') {
                    return None;
                }
                (Slot { start: at as u32 + 1, len: (stop - at - 1) as u32, kind }, stop + 1)
            }
            b'0'..=b'9' | b'-' => {
                let mut end = digits_end(text, at + 1);
                if !matches!(text.get(end), Some(b',' | b'}')) {
                    end = scalar_end(text, end);
                }
                (Slot { start: at as u32, len: (end - at) as u32, kind: Kind::Scalar }, end)
            }
            open @ (b'[' | b'{') if text.get(at + 1) == Some(&(open + 2)) => {
                (Slot { start: at as u32, len: 2, kind: Kind::Nested }, at + 2)
            }
            b'{' | b'[' => {
                let end = match simd::strings_end::<L>(text, at) {
                    Some(end) => end,
                    // The fast parser sees more than the line.
                    None => nested_end::<L, true>(text, at).ok()?,
                };
                (Slot { start: at as u32, len: (end - at) as u32, kind: Kind::Nested }, end)
            }
            _ => {
                let end = scalar_end(text, at);
                if end == at {
                    return None;
                }
                let kind = if text.get(at..end)? == b"null" { Kind::Null } else { Kind::Scalar };
                (Slot { start: at as u32, len: (end - at) as u32, kind }, end)
            }
        };
        if let Some(target) = step.take {
            take(slots, self.dynamic, target, slot);
        }
        if let Some(names) = step.below.and_then(|i| self.below.get(i as usize)) {
            full::nested(text, slot, names, slots);
        }
        Some(end)
    }
}

impl Vote {
    /// Counts one value; a long one is nobody's favourite.
    fn cast(&mut self, value: &[u8]) {
        if self.value == value {
            self.count += 1;
        } else if self.count == 0 && value.len() <= 256 {
            self.value.clear();
            self.value.extend_from_slice(value);
            self.count = 1;
        } else {
            self.count = self.count.saturating_sub(1);
        }
    }

    /// Share of rows with the favourite, in percent, estimated from the vote's lead.
    fn share(&self) -> u32 {
        (100 + self.count * 100 / WATCH) / 2
    }
}

/// Puts a value into its slot.
#[inline(always)]
fn take(slots: &mut Slots, dynamic: bool, target: Target, slot: Slot) {
    if dynamic {
        slots.offer(target, slot);
    } else {
        slots.set(target.field as usize, slot.start as usize, slot.len as usize, slot.kind);
    }
}

/// The slot of a complete written value that begins at `at`.
fn written(value: &[u8], at: usize) -> Slot {
    let (start, len, kind) = match value {
        [b'"', inner @ .., b'"'] => (at + 1, inner.len(), if inner.contains(&b'\\') { Kind::Escaped } else { Kind::Text }),
        [b'{' | b'[', ..] => (at, value.len(), Kind::Nested),
        b"null" => (at, 4, Kind::Null),
        _ => (at, value.len(), Kind::Scalar),
    };
    Slot { start: start as u32, len: len as u32, kind }
}
