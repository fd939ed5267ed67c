//! Short searches, inlined: values in edge rows are a few bytes long, so the call into a general
//! search routine would cost more than the search.

/// Position of the first `"`, `\` or control byte (below 0x20) at or after `at`.
#[inline(always)]
pub(crate) fn string_stop(text: &[u8], mut at: usize) -> Option<usize> {
    while let Some(block) = text.get(at..).and_then(<[u8]>::first_chunk::<16>) {
        let mask = arch::string_stops(block);
        if mask != 0 {
            return Some(at + mask.trailing_zeros() as usize);
        }
        at += 16;
    }
    text.get(at..)?.iter().position(|&b| b < 0x20 || b == b'"' || b == b'\\').map(|n| at + n)
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

/// Does `text` continue with `literal` at `at`?
#[inline(always)]
pub(crate) fn continues(text: &[u8], at: usize, literal: &[u8]) -> bool {
    let Some(here) = text.get(at..).and_then(|rest| rest.get(..literal.len())) else { return false };
    if literal.len() > 128 {
        return here == literal;
    }
    // Blocks of 16 from the front, then the last 16 (which may overlap): no loop over single bytes.
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
        _ => a == b,
    }
}

#[cfg(target_arch = "x86_64")]
mod arch {
    use std::arch::x86_64::{
        __m128i, _mm_cmpeq_epi8, _mm_loadu_si128, _mm_max_epu8, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_set1_epi8, _mm_sub_epi8,
    };

    // SAFETY of the blocks below: SSE2 is part of every x86_64; each load reads the 16 bytes that the
    // reference covers, and has no alignment.

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

    /// Are the blocks equal?
    #[inline(always)]
    pub(super) fn equal(a: &[u8; 16], b: &[u8; 16]) -> bool {
        unsafe { _mm_movemask_epi8(_mm_cmpeq_epi8(load(a), load(b))) == 0xffff }
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

    proptest! {
        #[test]
        fn searches_agree_with_loops(text in proptest::collection::vec(any::<u8>(), 0..80), at in 0usize..90) {
            let stop = text.iter().enumerate().skip(at).find(|(_, b)| **b < 0x20 || matches!(b, b'"' | b'\\')).map(|(i, _)| i);
            prop_assert_eq!(string_stop(&text, at), stop);
        }

        #[test]
        fn digits(text in "[0-9]{0,40}[a-z,}/:]?[0-9]{0,20}", at in 0usize..10) {
            let text = text.as_bytes();
            let end = text.iter().enumerate().skip(at).find(|(_, b)| !b.is_ascii_digit()).map_or(text.len().max(at), |(i, _)| i);
            prop_assert_eq!(digits_end(text, at), end);
        }

        #[test]
        fn literals(text in proptest::collection::vec(0u8..3, 0..200), at in 0usize..20, len in 0usize..180, flip in any::<Option<usize>>()) {
            let mut literal = text.iter().skip(at).take(len).copied().collect::<Vec<_>>();
            prop_assert_eq!(continues(&text, at, &literal), at + literal.len() <= text.len());
            if let Some(flip) = flip && !literal.is_empty() {
                let n = literal.len();
                literal[flip % n] ^= 4;
                prop_assert!(!continues(&text, at, &literal));
            }
        }
    }
}
