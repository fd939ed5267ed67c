//! The vector instructions of x86.

use std::arch::x86_64::{
    __m128i, __m256i, _mm_cmpeq_epi8, _mm_loadu_si128, _mm_max_epu8, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_set1_epi8,
    _mm_sub_epi8, _mm256_cmpeq_epi8, _mm256_cmpeq_epi8_mask, _mm256_cmpge_epu8_mask, _mm256_cmplt_epu8_mask, _mm256_loadu_si256,
    _mm256_max_epu8, _mm256_min_epu8, _mm256_movemask_epi8, _mm256_or_si256, _mm256_set1_epi8, _mm256_sub_epi8, _mm512_cmplt_epu8_mask,
    _mm512_cmpneq_epi8_mask, _mm512_loadu_si512, _mm512_set1_epi8,
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
pub(crate) fn string_stops(block: &[u8; 16]) -> u32 {
    let x = load(block);
    unsafe {
        let (quote, slash, control) = (_mm_set1_epi8(b'"' as i8), _mm_set1_epi8(b'\\' as i8), _mm_set1_epi8(0x1f));
        let quoting = _mm_or_si128(_mm_cmpeq_epi8(x, quote), _mm_cmpeq_epi8(x, slash));
        _mm_movemask_epi8(_mm_or_si128(quoting, _mm_cmpeq_epi8(_mm_min_epu8(x, control), x))) as u32
    }
}

/// One bit for each byte that is no digit.
#[inline(always)]
pub(crate) fn no_digits(block: &[u8; 16]) -> u32 {
    let x = load(block);
    unsafe {
        let x = _mm_sub_epi8(x, _mm_set1_epi8(b'0' as i8));
        _mm_movemask_epi8(_mm_cmpeq_epi8(_mm_max_epu8(x, _mm_set1_epi8(10)), x)) as u32
    }
}

/// One bit for each byte that is equal.
#[inline(always)]
pub(crate) fn equals(a: &[u8; 16], b: &[u8; 16]) -> u32 {
    unsafe { _mm_movemask_epi8(_mm_cmpeq_epi8(load(a), load(b))) as u32 }
}

/// Are the blocks equal?
#[inline(always)]
pub(crate) fn equal(a: &[u8; 16], b: &[u8; 16]) -> bool {
    equals(a, b) == 0xffff
}

/// [`string_stops`] of 32 bytes.
#[inline(always)]
pub(crate) fn string_stops_wide(block: &[u8; 32]) -> u32 {
    unsafe {
        let x: __m256i = _mm256_loadu_si256(block.as_ptr().cast());
        let (quote, slash, control) = (_mm256_set1_epi8(b'"' as i8), _mm256_set1_epi8(b'\\' as i8), _mm256_set1_epi8(0x1f));
        let quoting = _mm256_or_si256(_mm256_cmpeq_epi8(x, quote), _mm256_cmpeq_epi8(x, slash));
        _mm256_movemask_epi8(_mm256_or_si256(quoting, _mm256_cmpeq_epi8(_mm256_min_epu8(x, control), x))) as u32
    }
}

/// [`no_digits`] of 32 bytes.
#[inline(always)]
pub(crate) fn no_digits_wide(block: &[u8; 32]) -> u32 {
    // SAFETY: as the blocks above: 32 bytes are there, and only code behind `has_wide` comes here.
    unsafe {
        let x = _mm256_sub_epi8(_mm256_loadu_si256(block.as_ptr().cast()), _mm256_set1_epi8(b'0' as i8));
        _mm256_movemask_epi8(_mm256_cmpeq_epi8(_mm256_max_epu8(x, _mm256_set1_epi8(10)), x)) as u32
    }
}

/// One bit for each `"`; for each `\` or byte below 0x20; for each `,` or `:`.
#[inline(always)]
pub(crate) fn marks_wide(block: &[u8; 32]) -> [u32; 3] {
    // SAFETY: as the blocks above: 32 bytes are there, and only code behind `has_wide` comes here.
    unsafe {
        let x: __m256i = _mm256_loadu_si256(block.as_ptr().cast());
        let odd = _mm256_or_si256(
            _mm256_cmpeq_epi8(x, _mm256_set1_epi8(b'\\' as i8)),
            _mm256_cmpeq_epi8(_mm256_min_epu8(x, _mm256_set1_epi8(0x1f)), x),
        );
        let between =
            _mm256_or_si256(_mm256_cmpeq_epi8(x, _mm256_set1_epi8(b',' as i8)), _mm256_cmpeq_epi8(x, _mm256_set1_epi8(b':' as i8)));
        let quotes = _mm256_cmpeq_epi8(x, _mm256_set1_epi8(b'"' as i8));
        [_mm256_movemask_epi8(quotes) as u32, _mm256_movemask_epi8(odd) as u32, _mm256_movemask_epi8(between) as u32]
    }
}

/// [`equals`] of 32 bytes.
#[inline(always)]
pub(crate) fn equals_wide(a: &[u8; 32], b: &[u8; 32]) -> u32 {
    // SAFETY: as the blocks above: 32 bytes are there on both sides, and only code behind `has_wide` comes here.
    unsafe {
        let (a, b): (__m256i, __m256i) = (_mm256_loadu_si256(a.as_ptr().cast()), _mm256_loadu_si256(b.as_ptr().cast()));
        _mm256_movemask_epi8(_mm256_cmpeq_epi8(a, b)) as u32
    }
}

// SAFETY of the blocks below: each load reads the 32 or 64 bytes that the reference covers, and has no alignment; `super::Widest` is used
// only by code that `super::has_widest` has let through.

/// [`string_stops_wide`], with masks.
#[inline(always)]
pub(crate) fn string_stops_widest(block: &[u8; 32]) -> u32 {
    unsafe {
        let x: __m256i = _mm256_loadu_si256(block.as_ptr().cast());
        let (quote, slash) = (_mm256_set1_epi8(b'"' as i8), _mm256_set1_epi8(b'\\' as i8));
        _mm256_cmpeq_epi8_mask(x, quote) | _mm256_cmpeq_epi8_mask(x, slash) | _mm256_cmplt_epu8_mask(x, _mm256_set1_epi8(0x20))
    }
}

/// [`no_digits_wide`], with masks.
#[inline(always)]
pub(crate) fn no_digits_widest(block: &[u8; 32]) -> u32 {
    unsafe {
        let x = _mm256_sub_epi8(_mm256_loadu_si256(block.as_ptr().cast()), _mm256_set1_epi8(b'0' as i8));
        _mm256_cmpge_epu8_mask(x, _mm256_set1_epi8(10))
    }
}

/// One bit for each byte of 64 in which the two differ.
#[inline(always)]
pub(crate) fn differ_widest(a: &[u8; 64], b: &[u8; 64]) -> u64 {
    unsafe { _mm512_cmpneq_epi8_mask(_mm512_loadu_si512(a.as_ptr().cast()), _mm512_loadu_si512(b.as_ptr().cast())) }
}

/// One bit for each byte of 64 below 0x20.
#[inline(always)]
pub(crate) fn controls_widest(block: &[u8; 64]) -> u64 {
    unsafe { _mm512_cmplt_epu8_mask(_mm512_loadu_si512(block.as_ptr().cast()), _mm512_set1_epi8(0x20)) }
}

/// [`equal`] of 32 bytes.
#[inline(always)]
pub(crate) fn equal_wide(a: &[u8; 32], b: &[u8; 32]) -> bool {
    equals_wide(a, b) == u32::MAX
}
