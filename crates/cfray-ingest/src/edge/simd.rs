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
}

/// Are two texts of the same length below 16 equal?
#[inline(always)]
fn short_equal(a: &[u8], b: &[u8]) -> bool {
    fn ends<const N: usize>(a: &[u8], b: &[u8]) -> Option<bool> {
        Some(a.first_chunk::<N>()? == b.first_chunk::<N>()? && a.last_chunk::<N>()? == b.last_chunk::<N>()?)
    }
    ends::<8>(a, b).or_else(|| ends::<4>(a, b)).unwrap_or_else(|| a.iter().eq(b))
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
}

#[cfg(target_arch = "x86_64")]
mod arch {
    use std::arch::x86_64::{
        __m128i, __m256i, _mm_cmpeq_epi8, _mm_loadu_si128, _mm_max_epu8, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_set1_epi8,
        _mm_sub_epi8, _mm256_cmpeq_epi8, _mm256_loadu_si256, _mm256_max_epu8, _mm256_min_epu8, _mm256_movemask_epi8, _mm256_or_si256,
        _mm256_set1_epi8, _mm256_sub_epi8,
    };

    // SAFETY of the blocks below: SSE2 is part of every x86_64; each load reads the 16 or 32 bytes that
    // the reference covers, and has no alignment. The `_wide` ones need AVX2: `super::Wide` is used only
    // by code that `super::has_wide` has let through.

    #[inline(always)]
    fn load(block: &[u8; 16]) -> __m128i {
        unsafe { _mm_loadu_si128(block.as_ptr().cast()) }
    }

    /// One bit for each `"`, `\` or byte below 0x20.
    #[inline(always)]
    pub(super) fn string_stops(block: &[u8; 16]) -> u32 {
        let x = load(block);
        unsafe {
            let (quote, slash, control) = (_mm_set1_epi8(b'"' as i8), _mm_set1_epi8(b'\\' as i8), _mm_set1_epi8(0x1f));
            let quoting = _mm_or_si128(_mm_cmpeq_epi8(x, quote), _mm_cmpeq_epi8(x, slash));
            _mm_movemask_epi8(_mm_or_si128(quoting, _mm_cmpeq_epi8(_mm_min_epu8(x, control), x))) as u32
        }
    }

    /// One bit for each byte that is no digit.
    #[inline(always)]
    pub(super) fn no_digits(block: &[u8; 16]) -> u32 {
        let x = load(block);
        unsafe {
            let x = _mm_sub_epi8(x, _mm_set1_epi8(b'0' as i8));
            _mm_movemask_epi8(_mm_cmpeq_epi8(_mm_max_epu8(x, _mm_set1_epi8(10)), x)) as u32
        }
    }

    /// One bit for each byte that is equal.
    #[inline(always)]
    pub(super) fn equals(a: &[u8; 16], b: &[u8; 16]) -> u32 {
        unsafe { _mm_movemask_epi8(_mm_cmpeq_epi8(load(a), load(b))) as u32 }
    }

    /// Are the blocks equal?
    #[inline(always)]
    pub(super) fn equal(a: &[u8; 16], b: &[u8; 16]) -> bool {
        equals(a, b) == 0xffff
    }

    /// [`string_stops`] of 32 bytes.
    #[inline(always)]
    pub(super) fn string_stops_wide(block: &[u8; 32]) -> u32 {
        unsafe {
            let x: __m256i = _mm256_loadu_si256(block.as_ptr().cast());
            let (quote, slash, control) = (_mm256_set1_epi8(b'"' as i8), _mm256_set1_epi8(b'\\' as i8), _mm256_set1_epi8(0x1f));
            let quoting = _mm256_or_si256(_mm256_cmpeq_epi8(x, quote), _mm256_cmpeq_epi8(x, slash));
            _mm256_movemask_epi8(_mm256_or_si256(quoting, _mm256_cmpeq_epi8(_mm256_min_epu8(x, control), x))) as u32
        }
    }

    /// [`no_digits`] of 32 bytes.
    #[inline(always)]
    pub(super) fn no_digits_wide(block: &[u8; 32]) -> u32 {
        // SAFETY: as the blocks above: 32 bytes are there, and only code behind `has_wide` comes here.
        unsafe {
            let x = _mm256_sub_epi8(_mm256_loadu_si256(block.as_ptr().cast()), _mm256_set1_epi8(b'0' as i8));
            _mm256_movemask_epi8(_mm256_cmpeq_epi8(_mm256_max_epu8(x, _mm256_set1_epi8(10)), x)) as u32
        }
    }

    /// [`equals`] of 32 bytes.
    #[inline(always)]
    pub(super) fn equals_wide(a: &[u8; 32], b: &[u8; 32]) -> u32 {
        // SAFETY: as the blocks above: 32 bytes are there on both sides, and only code behind `has_wide` comes here.
        unsafe {
            let (a, b): (__m256i, __m256i) = (_mm256_loadu_si256(a.as_ptr().cast()), _mm256_loadu_si256(b.as_ptr().cast()));
            _mm256_movemask_epi8(_mm256_cmpeq_epi8(a, b)) as u32
        }
    }

    /// [`equal`] of 32 bytes.
    #[inline(always)]
    pub(super) fn equal_wide(a: &[u8; 32], b: &[u8; 32]) -> bool {
        equals_wide(a, b) == u32::MAX
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod arch {
    /// One bit for each `"`, `\` or byte below 0x20.
    #[inline(always)]
    pub(super) fn string_stops(block: &[u8; 16]) -> u32 {
        block.iter().rev().fold(0, |m, &b| m << 1 | u32::from(b < 0x20 || b == b'"' || b == b'\\'))
    }

    /// One bit for each byte that is no digit.
    #[inline(always)]
    pub(super) fn no_digits(block: &[u8; 16]) -> u32 {
        block.iter().rev().fold(0, |m, &b| m << 1 | u32::from(!b.is_ascii_digit()))
    }

    /// One bit for each byte that is equal.
    #[inline(always)]
    pub(super) fn equals(a: &[u8; 16], b: &[u8; 16]) -> u32 {
        a.iter().zip(b).rev().fold(0, |m, (a, b)| m << 1 | u32::from(a == b))
    }

    /// Are the blocks equal?
    #[inline(always)]
    pub(super) fn equal(a: &[u8; 16], b: &[u8; 16]) -> bool {
        a == b
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Every length, with an end in every place and in none, in an allocation of just that length: what Miri looks at, since
    /// random texts would take it too long.
    #[test]
    fn every_length_and_place() {
        // Built for a machine that has them, the wide search must not be passed over.
        assert!(has_wide() || !cfg!(all(target_feature = "avx2", target_feature = "bmi1", target_feature = "bmi2")));
        // Miri: those around multiples of 8.
        for len in (0..72).filter(|len| !cfg!(miri) || matches!(len % 8, 0 | 1 | 7)) {
            for stop in 0..=len {
                let text: Box<[u8]> = (0..len).map(|i| if i == stop { b'"' } else { b'7' }).collect();
                let found = (stop < len).then_some(stop);
                assert_eq!(Narrow::string_stop(&text, 0), found);
                assert_eq!(digits_end(&text, 0), stop);
                let literal: Box<[u8]> = text[..stop].into();
                assert!(Narrow::continues(&text, 0, &literal) && !Narrow::continues(&text, len - stop + 1, &literal));
                assert_eq!(Narrow::continues(&text, len - stop, &literal), stop == len || 2 * stop < len);
                #[cfg(target_arch = "x86_64")]
                if has_wide() {
                    assert_eq!(Wide::string_stop(&text, 0), found);
                    assert!(Wide::continues(&text, 0, &literal) && !Wide::continues(&text, len - stop + 1, &literal));
                    assert_eq!(Wide::continues(&text, len - stop, &literal), stop == len || 2 * stop < len);
                }
            }
        }
    }

    proptest! {
        #[test]
        fn searches_agree_with_loops(text in proptest::collection::vec(any::<u8>(), 0..80), at in 0usize..90) {
            let stop = text.iter().enumerate().skip(at).find(|(_, b)| **b < 0x20 || matches!(b, b'"' | b'\\')).map(|(i, _)| i);
            prop_assert_eq!(Narrow::string_stop(&text, at), stop);
            #[cfg(target_arch = "x86_64")]
            if has_wide() {
                prop_assert_eq!(Wide::string_stop(&text, at), stop);
            }
        }

        #[test]
        fn digits(text in "[0-9]{0,40}[a-z,}/:]?[0-9]{0,20}", at in 0usize..10) {
            let text = text.as_bytes();
            let end = text.iter().enumerate().skip(at).find(|(_, b)| !b.is_ascii_digit()).map_or(text.len().max(at), |(i, _)| i);
            prop_assert_eq!(digits_end(text, at), end);
        }

        #[test]
        fn masks(block in proptest::collection::vec(prop_oneof![any::<u8>(), 0x1eu8..0x24, b'.'..b'<', Just(b'\\')], 32)) {
            let block: [u8; 32] = block.try_into().unwrap_or([0; 32]);
            let bits = |f: &dyn Fn(u8) -> bool| block.iter().rev().fold(0u32, |m, b| m << 1 | u32::from(f(*b)));
            let (stops, no_digits) = (bits(&|b| b < 0x20 || matches!(b, b'"' | b'\\')), bits(&|b| !b.is_ascii_digit()));
            prop_assert_eq!((Narrow::stops(&block), Narrow::no_digits(&block)), (stops, no_digits));
            #[cfg(target_arch = "x86_64")]
            if has_wide() {
                prop_assert_eq!((Wide::stops(&block), Wide::no_digits(&block)), (stops, no_digits));
            }
        }

        #[test]
        fn units(a in proptest::collection::vec(0u8..2, UNIT), b in proptest::collection::vec(0u8..2, UNIT)) {
            let (a, b): ([u8; UNIT], [u8; UNIT]) = (a.try_into().unwrap_or([0; UNIT]), b.try_into().unwrap_or([0; UNIT]));
            let bits = a.iter().zip(&b).rev().fold(0u64, |m, (a, b)| m << 1 | u64::from(a != b));
            prop_assert_eq!(Narrow::differ(&a, &b), bits);
            #[cfg(target_arch = "x86_64")]
            if has_wide() {
                prop_assert_eq!(Wide::differ(&a, &b), bits);
            }
        }

        #[test]
        fn literals(text in proptest::collection::vec(0u8..3, 0..200), at in 0usize..20, len in 0usize..180, flip in any::<Option<usize>>()) {
            let mut literal = text.iter().skip(at).take(len).copied().collect::<Vec<_>>();
            let both = |literal: &[u8]| {
                let narrow = Narrow::continues(&text, at, literal);
                #[cfg(target_arch = "x86_64")]
                assert!(!has_wide() || Wide::continues(&text, at, literal) == narrow);
                narrow
            };
            prop_assert_eq!(both(&literal), at + literal.len() <= text.len());
            if let Some(flip) = flip && !literal.is_empty() {
                let n = literal.len();
                literal[flip % n] ^= 4;
                prop_assert!(!both(&literal));
            }
        }
    }
}
