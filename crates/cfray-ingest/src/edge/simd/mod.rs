//! Short searches, inlined: values in edge rows are a few bytes long, so the call into a general
//! search routine would cost more than the search.

/// Bytes that [`Lanes::differ`] compares.
pub(crate) const UNIT: usize = 64;

/// One way of searching; chosen once for the machine.
pub(crate) trait Lanes {
    /// Position of the first `"`, `\` or control byte (below 0x20) at or after `at`.
    fn string_stop(text: &[u8], at: usize) -> Option<usize>;
    /// Does `text` continue with `literal` at `at`?
    fn continues(text: &[u8], at: usize, literal: &[u8]) -> bool;
    /// One bit for each `"`, `\` or control byte.
    fn stops(block: &[u8; 32]) -> u32;
    /// One bit for each byte that is no digit.
    fn no_digits(block: &[u8; 32]) -> u32;
    /// One bit for each byte in which the two differ.
    fn differ(a: &[u8; UNIT], b: &[u8; UNIT]) -> u64;
    /// One bit for each `"`; for each `\` or control byte; for each `,` or `:`.
    fn marks(block: &[u8; UNIT]) -> [u64; 3];
}

/// The widest search that a machine has: [`Narrow`], [`Wide`] or [`Widest`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Width {
    Narrow,
    #[cfg(target_arch = "x86_64")]
    Wide,
    #[cfg(target_arch = "x86_64")]
    Widest,
}

impl Width {
    /// This machine's.
    pub fn of_machine() -> Self {
        #[cfg(target_arch = "x86_64")]
        if has_widest() {
            return Self::Widest;
        }
        #[cfg(target_arch = "x86_64")]
        if has_wide() {
            return Self::Wide;
        }
        Self::Narrow
    }
}

/// Where the object or array that begins at `at` ends, if it holds nothing but strings without escapes and control bytes, `,` and `:`,
/// and the text goes on for some bytes behind it.
#[inline(always)]
pub(crate) fn strings_end<L: Lanes>(text: &[u8], at: usize) -> Option<usize> {
    let close = text.get(at)?.checked_add(2)?;
    let mut from = at + 1;
    // All bits: the block begins inside a string.
    let mut within = 0u64;
    while let Some(block) = text.get(from..).and_then(<[u8]>::first_chunk::<UNIT>) {
        let [quotes, odd, between] = L::marks(block);
        // A bit is the parity of the quotes up to its place: inside a string, its first quote included.
        let mut inside = quotes;
        for shift in [1, 2, 4, 8, 16, 32] {
            inside ^= inside << shift;
        }
        inside ^= within;
        let stops = !(inside | quotes | between) | inside & odd;
        if stops != 0 {
            let stop = stops.trailing_zeros() as usize;
            return (block.get(stop) == Some(&close) && inside >> stop & 1 == 0).then_some(from + stop + 1);
        }
        within = ((inside as i64) >> 63) as u64;
        from += UNIT;
    }
    None
}

/// Blocks of 16 bytes: every machine has these.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Narrow;

impl Lanes for Narrow {
    #[inline(always)]
    fn string_stop(text: &[u8], mut at: usize) -> Option<usize> {
        while let Some(block) = text.get(at..).and_then(<[u8]>::first_chunk::<16>) {
            let mask = arch::string_stops(block);
            if mask != 0 {
                return Some(at + mask.trailing_zeros() as usize);
            }
            at += 16;
        }
        text.get(at..)?.iter().position(|&b| b < 0x20 || b == b'"' || b == b'\\').map(|n| at + n)
    }

    #[inline(always)]
    fn continues(text: &[u8], at: usize, literal: &[u8]) -> bool {
        let Some(here) = text.get(at..).and_then(|rest| rest.get(..literal.len())) else { return false };
        if literal.len() > 128 {
            return here == literal;
        }
        // Blocks from the front, then the last one (which may overlap): no loop over single bytes.
        let (mut a, mut b) = (here, literal);
        while let (Some(x), Some(y)) = (a.first_chunk::<16>(), b.first_chunk::<16>()) {
            if !arch::equal(x, y) {
                return false;
            }
            a = &a[16..];
            b = &b[16..];
        }
        match (here.last_chunk::<16>(), literal.last_chunk::<16>()) {
            (Some(x), Some(y)) => arch::equal(x, y),
            _ => short_equal(a, b),
        }
    }

    #[inline(always)]
    fn stops(block: &[u8; 32]) -> u32 {
        block.as_chunks::<16>().0.iter().rev().fold(0, |stops, half| stops << 16 | arch::string_stops(half))
    }

    #[inline(always)]
    fn no_digits(block: &[u8; 32]) -> u32 {
        block.as_chunks::<16>().0.iter().rev().fold(0, |mask, half| mask << 16 | arch::no_digits(half))
    }

    #[inline(always)]
    fn differ(a: &[u8; UNIT], b: &[u8; UNIT]) -> u64 {
        let (a, b) = (a.as_chunks::<16>().0.iter(), b.as_chunks::<16>().0.iter());
        !a.zip(b).rev().fold(0, |equal, (a, b)| equal << 16 | u64::from(arch::equals(a, b)))
    }

    #[inline(always)]
    fn marks(block: &[u8; UNIT]) -> [u64; 3] {
        block.as_chunks::<16>().0.iter().rev().fold([0; 3], |masks, part| {
            let equals = |b| arch::equals(part, &[b; 16]);
            let (quotes, stops) = (equals(b'"'), arch::string_stops(part));
            let part = [quotes, stops & !quotes, equals(b',') | equals(b':')];
            std::array::from_fn(|i| masks[i] << 16 | u64::from(part[i]))
        })
    }
}

/// Are two texts of the same length below 16 equal?
#[inline(always)]
fn short_equal(a: &[u8], b: &[u8]) -> bool {
    fn ends<const N: usize>(a: &[u8], b: &[u8]) -> Option<bool> {
        Some(a.first_chunk::<N>()? == b.first_chunk::<N>()? && a.last_chunk::<N>()? == b.last_chunk::<N>()?)
    }
    ends::<8>(a, b).or_else(|| ends::<4>(a, b)).unwrap_or_else(|| a.iter().eq(b))
}

/// Does the text hold one of four bytes?
#[inline]
pub(crate) fn holds_any(text: &[u8], bytes: &[u8; 4]) -> bool {
    let (blocks, rest) = text.as_chunks::<16>();
    let any = |block: &[u8; 16]| bytes.iter().fold(0, |mask, b| mask | arch::equals(block, &[*b; 16])) != 0;
    // The last block overlaps the one before: no loop over single bytes.
    blocks.iter().any(any)
        || match text.last_chunk::<16>() {
            Some(last) => !rest.is_empty() && any(last),
            None => rest.iter().any(|b| bytes.contains(b)),
        }
}

/// Position of the first byte at or after `at` that is no digit; the length when there is none.
#[inline(always)]
pub(crate) fn digits_end(text: &[u8], mut at: usize) -> usize {
    while let Some(block) = text.get(at..).and_then(<[u8]>::first_chunk::<16>) {
        let mask = arch::no_digits(block);
        if mask != 0 {
            return at + mask.trailing_zeros() as usize;
        }
        at += 16;
    }
    at + text.get(at..).unwrap_or_default().iter().take_while(|b| b.is_ascii_digit()).count()
}

/// Does this machine have what [`Wide`] needs?
pub(crate) fn has_wide() -> bool {
    #[cfg(target_arch = "x86_64")]
    return is_x86_feature_detected!("avx2") && is_x86_feature_detected!("bmi1") && is_x86_feature_detected!("bmi2");
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// Blocks of 32 bytes. Only for code that runs behind [`has_wide`].
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wide;

#[cfg(target_arch = "x86_64")]
impl Lanes for Wide {
    #[inline(always)]
    fn string_stop(text: &[u8], mut at: usize) -> Option<usize> {
        while let Some(block) = text.get(at..).and_then(<[u8]>::first_chunk::<32>) {
            let mask = arch::string_stops_wide(block);
            if mask != 0 {
                return Some(at + mask.trailing_zeros() as usize);
            }
            at += 32;
        }
        Narrow::string_stop(text, at)
    }

    #[inline(always)]
    fn continues(text: &[u8], at: usize, literal: &[u8]) -> bool {
        let Some(here) = text.get(at..).and_then(|rest| rest.get(..literal.len())) else { return false };
        let (Some(x), Some(y)) = (here.last_chunk::<32>(), literal.last_chunk::<32>()) else {
            return Narrow::continues(text, at, literal);
        };
        let (mut a, mut b) = (here, literal);
        while let (Some(x), Some(y)) = (a.first_chunk::<32>(), b.first_chunk::<32>()) {
            if !arch::equal_wide(x, y) {
                return false;
            }
            a = &a[32..];
            b = &b[32..];
        }
        arch::equal_wide(x, y)
    }

    #[inline(always)]
    fn stops(block: &[u8; 32]) -> u32 {
        arch::string_stops_wide(block)
    }

    #[inline(always)]
    fn no_digits(block: &[u8; 32]) -> u32 {
        arch::no_digits_wide(block)
    }

    #[inline(always)]
    fn differ(a: &[u8; UNIT], b: &[u8; UNIT]) -> u64 {
        let (a, b) = (a.as_chunks::<32>().0.iter(), b.as_chunks::<32>().0.iter());
        !a.zip(b).rev().fold(0, |equal, (a, b)| equal << 32 | u64::from(arch::equals_wide(a, b)))
    }

    #[inline(always)]
    fn marks(block: &[u8; UNIT]) -> [u64; 3] {
        // Not a loop: what a loop calls would be compiled for any machine.
        let (Some(low), Some(high)) = (block.first_chunk::<32>(), block.last_chunk::<32>()) else { return [0; 3] };
        let ([a, b, c], [d, e, f]) = (arch::marks_wide(low), arch::marks_wide(high));
        let both = |low, high| u64::from(high) << 32 | u64::from(low);
        [both(a, d), both(b, e), both(c, f)]
    }
}

/// Does this machine have what [`Widest`] needs?
pub(crate) fn has_widest() -> bool {
    #[cfg(target_arch = "x86_64")]
    return has_wide() && is_x86_feature_detected!("avx512bw") && is_x86_feature_detected!("avx512vl");
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// Blocks of 64 bytes, and masks without a detour. Only for code that runs behind [`has_widest`].
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Widest;

#[cfg(target_arch = "x86_64")]
impl Lanes for Widest {
    #[inline(always)]
    fn string_stop(text: &[u8], at: usize) -> Option<usize> {
        Wide::string_stop(text, at)
    }

    #[inline(always)]
    fn continues(text: &[u8], at: usize, literal: &[u8]) -> bool {
        Wide::continues(text, at, literal)
    }

    #[inline(always)]
    fn stops(block: &[u8; 32]) -> u32 {
        arch::string_stops_widest(block)
    }

    #[inline(always)]
    fn no_digits(block: &[u8; 32]) -> u32 {
        arch::no_digits_widest(block)
    }

    #[inline(always)]
    fn differ(a: &[u8; UNIT], b: &[u8; UNIT]) -> u64 {
        arch::differ_widest(a, b)
    }

    #[inline(always)]
    fn marks(block: &[u8; UNIT]) -> [u64; 3] {
        let differs = |b| arch::differ_widest(block, &[b; UNIT]);
        [!differs(b'"'), !differs(b'\\') | arch::controls_widest(block), !(differs(b',') & differs(b':'))]
    }
}

#[cfg(not(target_arch = "x86_64"))]
#[path = "plain.rs"]
mod arch;
#[cfg(target_arch = "x86_64")]
#[path = "x86.rs"]
mod arch;
#[cfg(test)]
mod tests;
