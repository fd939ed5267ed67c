//! The walk over rows whose shape is known, run by run, several rows side by side.

use super::super::simd::{Lanes, Narrow, UNIT, Width};
use super::super::value::{Kind, Slot, Slots};
use super::{Inner, Run, Template, WATCH, Written, take};

/// Rows that are walked side by side.
pub(crate) const LANES: usize = 4;

/// Bytes that are looked at from where a run's tail begins: the tail, and 32 bytes behind the longest that `tail_len` could say.
const WINDOW: usize = 3 * UNIT;

/// [`Written`] as a parameter of functions.
const END: u8 = Written::End as u8;
const TEXT: u8 = Written::Text as u8;
const NUMBER: u8 = Written::Number as u8;
const ANY: u8 = Written::Any as u8;

/// What is no place in any text.
const LOST: usize = usize::MAX;

/// A row that is walked.
struct Lane<'a> {
    text: &'a [u8],
    /// Where the next run begins; may be [`LOST`].
    at: usize,
    /// Windows that begin before this place lie in the text.
    limit: usize,
}

impl Lane<'_> {
    /// The window that begins at `at`, which may be [`LOST`].
    #[inline(always)]
    fn window(&self, at: usize) -> Option<&[u8; WINDOW]> {
        // SAFETY: `limit` is `len - (WINDOW - 1)`, or 0: below it, `at + WINDOW` is at most the length of the text.
        (at < self.limit).then(|| unsafe { &*self.text.as_ptr().add(at).cast() })
    }
}

impl Template {
    /// May rows be walked side by side? Not while values are watched, nor where fields depend on the row.
    pub fn settled(&self) -> bool {
        self.watched >= WATCH && !self.dynamic
    }

    /// Walks rows that begin at the beginning of `texts` and end before a newline or with the text. Says of each whether it has
    /// this shape, and if so `slots` holds its values and its length is that of the text, or ends before a newline.
    /// For [`Self::settled`] templates; `slots` have to be prepared for this one.
    pub fn walk_lanes(&mut self, texts: &[&[u8]; LANES], slots: &mut [Slots; LANES]) -> [Option<usize>; LANES] {
        let ends = self.widest(texts, slots);
        let mut lengths = [None; LANES];
        for ((length, end), text) in lengths.iter_mut().zip(ends).zip(texts) {
            *length = Some(end).filter(|end| *end <= text.len() && matches!(text.get(*end), None | Some(b'\n')));
        }
        lengths
    }

    /// One row; where it ends.
    pub(super) fn stride(&mut self, text: &[u8], slots: &mut Slots) -> Option<usize> {
        let [end] = self.widest(&[text], std::array::from_mut(slots));
        (end != LOST).then_some(end)
    }

    /// [`Self::strides`] with the widest search the machine has.
    #[inline]
    fn widest<const N: usize>(&mut self, texts: &[&[u8]; N], slots: &mut [Slots; N]) -> [usize; N] {
        match self.search {
            Width::Narrow => self.strides::<Narrow, N>(texts, slots),
            // SAFETY: the width is the machine's, so it has the features that these functions were compiled for.
            #[cfg(target_arch = "x86_64")]
            Width::Wide => unsafe { self.strides_wide(texts, slots) },
            #[cfg(target_arch = "x86_64")]
            Width::Widest => unsafe { self.strides_widest(texts, slots) },
        }
    }

    /// [`Self::strides`], compiled for machines with AVX2.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,bmi1,bmi2")]
    fn strides_wide<const N: usize>(&mut self, texts: &[&[u8]; N], slots: &mut [Slots; N]) -> [usize; N] {
        self.strides::<super::super::simd::Wide, N>(texts, slots)
    }

    /// [`Self::strides`], compiled for machines with AVX-512.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,bmi1,bmi2,avx512bw,avx512vl")]
    fn strides_widest<const N: usize>(&mut self, texts: &[&[u8]; N], slots: &mut [Slots; N]) -> [usize; N] {
        self.strides::<super::super::simd::Widest, N>(texts, slots)
    }

    /// Walks rows run by run: where each ends, or [`LOST`].
    #[inline(always)]
    fn strides<L: Lanes, const N: usize>(&mut self, texts: &[&[u8]; N], slots: &mut [Slots; N]) -> [usize; N] {
        let mut lanes = texts.map(|text| Lane { text, at: 0, limit: text.len().saturating_sub(WINDOW - 1) });
        let mut missed = 0u64;
        for run in &self.runs {
            // What is the same for every row is asked once.
            match (run.value, run.lead == run.lead_end) {
                (Written::Text, true) => self.legs::<L, N, TEXT, false>(run, &mut lanes, slots, &mut missed),
                (Written::Text, false) => self.legs::<L, N, TEXT, true>(run, &mut lanes, slots, &mut missed),
                (Written::Number, true) => self.legs::<L, N, NUMBER, false>(run, &mut lanes, slots, &mut missed),
                (Written::Number, false) => self.legs::<L, N, NUMBER, true>(run, &mut lanes, slots, &mut missed),
                (Written::Any, _) => self.legs::<L, N, ANY, true>(run, &mut lanes, slots, &mut missed),
                (Written::End, _) => self.legs::<L, N, END, true>(run, &mut lanes, slots, &mut missed),
            }
            if N == 1 && lanes.first().is_none_or(|lane| lane.at == LOST) {
                break;
            }
        }
        self.rows += lanes.iter().filter(|lane| lane.at != LOST).count() as u64;
        self.misses += missed;
        // The rows have changed since they were watched: watch again, ever more rarely.
        if self.misses > 64 && self.misses * 2 > self.rows * self.runs.len() as u64 / 4 {
            self.watched = 0;
            self.rows = 0;
            self.misses = 0;
        }
        lanes.map(|lane| lane.at)
    }

    /// One run of each row.
    #[inline(always)]
    fn legs<L: Lanes, const N: usize, const VALUE: u8, const LEAD: bool>(
        &self,
        run: &Run,
        lanes: &mut [Lane<'_>; N],
        slots: &mut [Slots; N],
        missed: &mut u64,
    ) {
        let lead = self.merged.get(run.lead as usize..run.lead_end as usize).unwrap_or_default();
        let inner = self.inner.get(run.inner as usize..run.inner_end as usize).unwrap_or_default();
        for (lane, slots) in lanes.iter_mut().zip(slots) {
            lane.at = self.leg::<L, VALUE>(run, if LEAD { lead } else { &[] }, inner, lane, slots, missed);
        }
    }

    /// One run of one row: where the next one begins.
    #[inline(always)]
    fn leg<L: Lanes, const VALUE: u8>(
        &self,
        run: &Run,
        lead: &[[u8; UNIT]],
        inner: &[Inner],
        lane: &Lane<'_>,
        slots: &mut Slots,
        missed: &mut u64,
    ) -> usize {
        let (text, begin) = (lane.text, lane.at);
        let mut at = begin;
        for unit in lead {
            match lane.window(at) {
                Some(here) if here.first_chunk::<UNIT>().is_some_and(|here| L::differ(here, unit) == 0) => at += UNIT,
                _ => return self.detour(run, text, begin, slots),
            }
        }
        // One check of bounds for the tail, the quote or digit behind it, and the next 32 bytes.
        let Some(here) = lane.window(at) else { return self.detour(run, text, begin, slots) };
        if here.first_chunk::<UNIT>().is_none_or(|unit| L::differ(unit, &run.tail) & run.mask != 0) {
            *missed += 1;
            return self.detour(run, text, begin, slots);
        }
        for inner in inner {
            take(slots, self.dynamic, inner.take, Slot { start: inner.slot.start + begin as u32, ..inner.slot });
        }
        // At most a unit; that this is far below the window's end lets the compiler leave the checks out.
        let tail = run.tail_len as usize & (2 * UNIT - 1);
        let start = at + tail;
        if VALUE == END {
            return start;
        }
        if VALUE == ANY {
            return self.steps.get(run.last as usize).and_then(|step| self.value::<L>(text, start, step, slots)).unwrap_or(LOST);
        }
        let Some(value) = here.get(tail..).and_then(<[u8]>::first_chunk::<32>) else { return LOST };
        let (len, kind) = if VALUE == TEXT {
            let stops = L::stops(value);
            let (len, stop) = if stops == 0 {
                match L::string_stop(text, start + 32) {
                    Some(stop) => (stop - start, text.get(stop).copied()),
                    None => return LOST,
                }
            } else {
                let len = stops.trailing_zeros() as usize;
                (len, here.get(tail + len).copied())
            };
            if stop != Some(b'"') {
                return self.other(run.last, text, start - 1, slots);
            }
            (len, Kind::Text)
        } else {
            let len = L::no_digits(value).trailing_zeros() as usize;
            if len == 0 || !matches!(here.get(tail + len), Some(b',' | b'}')) {
                return self.other(run.last, text, start, slots);
            }
            (len, Kind::Scalar)
        };
        slots.set(run.field as usize, start, len, kind);
        start + len + usize::from(VALUE == TEXT)
    }

    /// The steps of a run one by one: where the next run begins, or [`LOST`], as `begin` may be.
    #[inline(never)]
    fn detour(&self, run: &Run, text: &[u8], begin: usize, slots: &mut Slots) -> usize {
        if begin == LOST { LOST } else { self.steps_of(run, text, begin, slots).unwrap_or(LOST) }
    }

    /// [`Self::detour`].
    fn steps_of(&self, run: &Run, text: &[u8], mut at: usize, slots: &mut Slots) -> Option<usize> {
        for i in run.first..=run.last {
            let step = self.steps.get(i as usize)?;
            let literal = self.literals.get(step.start as usize..step.end as usize)?;
            if !Narrow::continues(text, at, literal) {
                return None;
            }
            at += literal.len();
            if i as usize + 1 < self.steps.len() {
                at = self.value::<Narrow>(text, at, step, slots)?;
            }
        }
        Some(at)
    }

    /// The value of a step that is not written as in most rows: where it ends, or [`LOST`].
    #[inline(never)]
    fn other(&self, step: u32, text: &[u8], at: usize, slots: &mut Slots) -> usize {
        self.steps.get(step as usize).and_then(|step| self.value::<Narrow>(text, at, step, slots)).unwrap_or(LOST)
    }
}
