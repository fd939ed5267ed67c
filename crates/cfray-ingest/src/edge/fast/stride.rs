//! The walk over rows whose shape is known, run by run, several rows side by side.

use super::super::simd::{Lanes, Narrow, UNIT};
use super::super::value::{Kind, Slot, Slots};
use super::{Run, Template, WATCH, Written, take};

/// Rows that are walked side by side.
pub(crate) const LANES: usize = 4;

/// Bytes that are looked at from where a run's tail begins: the tail, and 32 bytes behind the longest that `tail_len` could say.
const WINDOW: usize = 3 * UNIT;

/// What is no place in any text.
const LOST: usize = usize::MAX;

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
        #[cfg(target_arch = "x86_64")]
        if self.wide {
            // SAFETY: `wide` says that the machine has the features that the function was compiled for.
            return unsafe { self.strides_wide(texts, slots) };
        }
        self.strides::<Narrow, N>(texts, slots)
    }

    /// [`Self::strides`], compiled for machines with AVX2.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,bmi1,bmi2")]
    fn strides_wide<const N: usize>(&mut self, texts: &[&[u8]; N], slots: &mut [Slots; N]) -> [usize; N] {
        self.strides::<super::super::simd::Wide, N>(texts, slots)
    }

    /// Walks rows run by run: where each ends, or [`LOST`].
    #[inline(always)]
    fn strides<L: Lanes, const N: usize>(&mut self, texts: &[&[u8]; N], slots: &mut [Slots; N]) -> [usize; N] {
        let mut places = [0usize; N];
        let mut missed = 0u64;
        for run in &self.runs {
            for ((at, text), slots) in places.iter_mut().zip(texts).zip(slots.iter_mut()) {
                if N == 1 || *at != LOST {
                    *at = self.leg::<L>(run, text, *at, slots, &mut missed).unwrap_or(LOST);
                }
                if N == 1 && *at == LOST {
                    return places;
                }
            }
        }
        self.rows += places.iter().filter(|at| **at != LOST).count() as u64;
        self.misses += missed;
        // The rows have changed since they were watched: watch again, ever more rarely.
        if self.misses > 64 && self.misses * 2 > self.rows * self.runs.len() as u64 / 4 {
            self.watched = 0;
            self.rows = 0;
            self.misses = 0;
        }
        places
    }

    /// One run of one row: where the next one begins.
    #[inline(always)]
    fn leg<L: Lanes>(&self, run: &Run, text: &[u8], begin: usize, slots: &mut Slots, missed: &mut u64) -> Option<usize> {
        let at = if run.lead == run.lead_end { begin } else { self.lead::<L>(run, text, begin) };
        // One check of bounds for the tail, the quote or digit behind it, and the next 32 bytes.
        let Some(here) = text.get(at..).and_then(<[u8]>::first_chunk::<WINDOW>) else {
            return self.detour(run, text, begin, slots);
        };
        let (unit, _) = here.as_chunks::<UNIT>();
        if unit.first().is_none_or(|unit| L::differ(unit, &run.tail) & run.mask != 0) {
            *missed += 1;
            return self.detour(run, text, begin, slots);
        }
        if run.inner != run.inner_end {
            for inner in self.inner.get(run.inner as usize..run.inner_end as usize)? {
                take(slots, self.dynamic, inner.take, Slot { start: inner.slot.start + begin as u32, ..inner.slot });
            }
        }
        // At most a unit; that this is far below the window's end lets the compiler leave the checks out.
        let tail = run.tail_len as usize & (2 * UNIT - 1);
        let (start, value) = (at + tail, here.get(tail..).and_then(<[u8]>::first_chunk::<32>)?);
        let (len, kind) = if run.value == Written::Text {
            let stops = L::stops(value);
            let len = if stops == 0 { L::string_stop(text, start + 32)? - start } else { stops.trailing_zeros() as usize };
            if text.get(start + len) != Some(&b'"') {
                return self.other(run.last, text, start - 1, slots);
            }
            (len, Kind::Text)
        } else if run.value == Written::Number {
            let len = L::no_digits(value).trailing_zeros() as usize;
            if len == 0 || !matches!(here.get(tail + len), Some(b',' | b'}')) {
                return self.other(run.last, text, start, slots);
            }
            (len, Kind::Scalar)
        } else if run.value == Written::End {
            return Some(start);
        } else {
            return self.value::<L>(text, start, self.steps.get(run.last as usize)?, slots);
        };
        if let Some(target) = run.take {
            slots.set(target.field as usize, start, len, kind);
        }
        Some(start + len + usize::from(kind == Kind::Text))
    }

    /// Where the units before the run's tail end, if `text` continues with them at `at`; else [`LOST`].
    #[inline(always)]
    fn lead<L: Lanes>(&self, run: &Run, text: &[u8], mut at: usize) -> usize {
        for unit in self.merged.get(run.lead as usize..run.lead_end as usize).unwrap_or_default() {
            match text.get(at..).and_then(<[u8]>::first_chunk::<UNIT>) {
                Some(here) if L::differ(here, unit) == 0 => at += UNIT,
                _ => return LOST,
            }
        }
        at
    }

    /// The steps of a run one by one.
    #[inline(never)]
    fn detour(&self, run: &Run, text: &[u8], mut at: usize, slots: &mut Slots) -> Option<usize> {
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

    /// The value of a step that is not written as in most rows.
    #[inline(never)]
    fn other(&self, step: u32, text: &[u8], at: usize, slots: &mut Slots) -> Option<usize> {
        self.value::<Narrow>(text, at, self.steps.get(step as usize)?, slots)
    }
}
