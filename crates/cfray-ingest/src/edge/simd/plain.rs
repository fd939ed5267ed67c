//! What vector instructions do, for machines whose are not used.

/// One bit for each `"`, `\` or byte below 0x20.
#[inline(always)]
pub(crate) fn string_stops(block: &[u8; 16]) -> u32 {
    block.iter().rev().fold(0, |m, &b| m << 1 | u32::from(b < 0x20 || b == b'"' || b == b'\\'))
}

/// One bit for each byte that is no digit.
#[inline(always)]
pub(crate) fn no_digits(block: &[u8; 16]) -> u32 {
    block.iter().rev().fold(0, |m, &b| m << 1 | u32::from(!b.is_ascii_digit()))
}

/// One bit for each byte that is equal.
#[inline(always)]
pub(crate) fn equals(a: &[u8; 16], b: &[u8; 16]) -> u32 {
    a.iter().zip(b).rev().fold(0, |m, (a, b)| m << 1 | u32::from(a == b))
}

/// Are the blocks equal?
#[inline(always)]
pub(crate) fn equal(a: &[u8; 16], b: &[u8; 16]) -> bool {
    a == b
}
