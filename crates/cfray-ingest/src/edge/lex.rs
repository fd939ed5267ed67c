//! The smallest pieces of JSON that both parsers share: blanks, strings, values that are skipped.
//!
//! One grammar for both, and a forgiving one: a string ends at the next quote without a backslash
//! before it and may hold anything (raw control bytes and invalid UTF-8, too); a scalar is a run of
//! letters, digits, `+`, `-`, `.` and `_`; inside a value that nobody reads only strings and brackets count.

use super::simd::{Lanes, Narrow};

/// Deepest nesting that is followed.
const DEPTH: usize = 512;

/// Reason of a fault: the text ends inside a string.
pub(crate) const UNTERMINATED: &str = "a string does not end";

/// What is wrong, and at which byte.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Fault {
    /// Byte in the text.
    pub at: usize,
    /// One clause.
    pub reason: &'static str,
}

/// Makes a fault.
pub(crate) const fn fault(at: usize, reason: &'static str) -> Fault {
    Fault { at, reason }
}

/// Position after blanks.
#[inline]
pub(crate) fn blanks(text: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\t' | b'\n' | b'\r') = text.get(at) {
        at += 1;
    }
    at
}

/// From the byte after an opening quote: position of the closing quote, and whether a backslash
/// came before it.
#[inline]
pub(crate) fn string_end(text: &[u8], start: usize) -> Result<(usize, bool), Fault> {
    string_end_by::<Narrow, false>(text, start)
}

/// With `LINE` a newline ends the text.
#[inline(always)]
fn string_end_by<L: Lanes, const LINE: bool>(text: &[u8], start: usize) -> Result<(usize, bool), Fault> {
    let mut at = start;
    let mut escaped = false;
    loop {
        let hit = L::string_stop(text, at).ok_or(fault(text.len(), UNTERMINATED))?;
        at = match text.get(hit) {
            Some(b'"') => return Ok((hit, escaped)),
            Some(b'\\') => {
                escaped = true;
                if LINE && text.get(hit + 1) == Some(&b'\n') {
                    return Err(fault(hit, UNTERMINATED));
                }
                hit + 2
            }
            Some(b'\n') if LINE => return Err(fault(hit, UNTERMINATED)),
            // A raw control byte is content like any other.
            _ => hit + 1,
        };
    }
}

/// Is the byte part of a scalar?
#[inline]
pub(crate) const fn scalar_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.' | b'_')
}

/// Position after a scalar.
#[inline]
pub(crate) fn scalar_end(text: &[u8], mut at: usize) -> usize {
    while text.get(at).copied().is_some_and(scalar_byte) {
        at += 1;
    }
    at
}

/// Position after the array or object that begins here. With `LINE` a newline ends the text.
#[inline(always)]
pub(crate) fn nested_end<L: Lanes, const LINE: bool>(text: &[u8], start: usize) -> Result<usize, Fault> {
    // One bit a level: an object?
    let mut levels = [0u64; DEPTH / 64];
    let mut depth = 0usize;
    let mut at = start;
    loop {
        match text.get(at) {
            Some(b'"') => {
                at = string_end_by::<L, LINE>(text, at + 1)?.0;
                // One string after the other, as in most objects and lists.
                while let Some([b':' | b',', b'"', ..]) = text.get(at + 1..) {
                    at = string_end_by::<L, LINE>(text, at + 3)?.0;
                }
            }
            Some(&open @ (b'{' | b'[')) => {
                let Some(word) = levels.get_mut(depth / 64) else { return Err(fault(at, "nested too deeply")) };
                let bit = 1u64 << (depth % 64);
                *word = if open == b'{' { *word | bit } else { *word & !bit };
                depth += 1;
            }
            Some(&close @ (b'}' | b']')) => {
                depth -= 1;
                let object = levels.get(depth / 64).is_some_and(|word| word & (1u64 << (depth % 64)) != 0);
                if object != (close == b'}') {
                    return Err(fault(at, "brackets do not match"));
                }
                if depth == 0 {
                    return Ok(at + 1);
                }
            }
            Some(b'\n') if LINE => return Err(fault(at, "the row ends inside an array or object")),
            Some(b',' | b':' | b' ' | b'\t' | b'\n' | b'\r') => {}
            Some(&b) if scalar_byte(b) => {}
            Some(_) => return Err(fault(at, "not JSON")),
            None => return Err(fault(at, "the row ends inside an array or object")),
        }
        at += 1;
    }
}
