//! The full parser: any JSON object, key by key. It defines what a row means; the fast parser must agree.
//!
//! The last of several equal keys wins, as in every common JSON library. A key is compared after its
//! escapes are decoded, in any case of ASCII letters.

use super::fields::{Names, NestedName, Target};
use super::lex::{Fault, blanks, fault, nested_end, scalar_end, string_end};
use super::simd::Narrow;
use super::value::{Kind, Slot, Slots, unescape};
use std::borrow::Cow;
use std::sync::Arc;

/// Most members that a layout records; rows with more are never templates.
const LAYOUT: usize = 1024;

/// One member of a row, for learning templates.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    /// First byte of the value.
    pub start: usize,
    /// Byte after the value.
    pub end: usize,
    /// What its key fills, if anything.
    pub target: Option<Target>,
    /// The user's names that may lie below its key.
    pub below: Option<Arc<[NestedName]>>,
}

/// The members of the last row, in their order, repeated keys included.
#[derive(Clone, Default, Debug)]
pub(crate) struct Layout {
    /// Members; empty when the row had too many.
    pub members: Vec<Member>,
    /// Scratch for counting distinct names: hashes of decoded keys.
    names: Vec<u64>,
}

/// A value that was just read.
struct Value {
    end: usize,
    slot: Slot,
}

/// Where a slot lies. Records are at most some megabytes; `u32` holds any position in them.
fn slot(start: usize, end: usize, kind: Kind) -> Slot {
    Slot { start: start as u32, len: end.saturating_sub(start) as u32, kind }
}

/// Reads the value that begins at `at`.
fn value(text: &[u8], at: usize) -> Result<Value, Fault> {
    match text.get(at) {
        Some(b'"') => {
            let (end, escaped) = string_end(text, at + 1)?;
            Ok(Value { end: end + 1, slot: slot(at + 1, end, if escaped { Kind::Escaped } else { Kind::Text }) })
        }
        Some(b'{' | b'[') => {
            let end = nested_end::<Narrow, false>(text, at)?;
            Ok(Value { end, slot: slot(at, end, Kind::Nested) })
        }
        _ => {
            let end = scalar_end(text, at);
            match text.get(at..end) {
                Some(b"null") => Ok(Value { end, slot: slot(at, end, Kind::Null) }),
                Some([_, ..]) => Ok(Value { end, slot: slot(at, end, Kind::Scalar) }),
                _ => Err(fault(at, "a value is missing")),
            }
        }
    }
}

/// Walks the members of the object at `start`; returns the byte after it.
pub(crate) fn members<'a>(
    text: &'a [u8],
    start: usize,
    mut each: impl FnMut(Cow<'a, [u8]>, Slot, usize) -> Result<(), Fault>,
) -> Result<usize, Fault> {
    if text.get(start) != Some(&b'{') {
        return Err(fault(start, "not a JSON object"));
    }
    let mut at = blanks(text, start + 1);
    if text.get(at) == Some(&b'}') {
        return Ok(at + 1);
    }
    loop {
        if text.get(at) != Some(&b'"') {
            return Err(if at >= text.len() { fault(at, "the row ends too early") } else { fault(at, "a key is missing") });
        }
        let (end, escaped) = string_end(text, at + 1)?;
        let raw = text.get(at + 1..end).unwrap_or_default();
        let key = if escaped { Cow::Owned(unescape(raw)) } else { Cow::Borrowed(raw) };
        at = blanks(text, end + 1);
        if text.get(at) != Some(&b':') {
            return Err(fault(at, "a colon is missing"));
        }
        at = blanks(text, at + 1);
        let value = value(text, at)?;
        each(key, value.slot, value.end)?;
        at = blanks(text, value.end);
        match text.get(at) {
            Some(b',') => at = blanks(text, at + 1),
            Some(b'}') => return Ok(at + 1),
            Some(_) => return Err(fault(at, "a comma is missing")),
            None => return Err(fault(at, "the row ends too early")),
        }
    }
}

/// Elements of the array at `start`: (position, end) of each.
pub(crate) fn elements(text: &[u8], start: usize, mut each: impl FnMut(usize, usize)) -> Result<usize, Fault> {
    if text.get(start) != Some(&b'[') {
        return Err(fault(start, "not a JSON array"));
    }
    let mut at = blanks(text, start + 1);
    if text.get(at) == Some(&b']') {
        return Ok(at + 1);
    }
    loop {
        let value = value(text, at)?;
        each(at, value.end);
        at = blanks(text, value.end);
        match text.get(at) {
            Some(b',') => at = blanks(text, at + 1),
            Some(b']') => return Ok(at + 1),
            _ => return Err(fault(at, "a comma is missing")),
        }
    }
}

/// Reads the object at `start` into `slots` (cleared first); returns the byte after it.
pub(crate) fn object(text: &[u8], start: usize, names: &Names, slots: &mut Slots, layout: &mut Layout) -> Result<usize, Fault> {
    slots.clear();
    layout.members.clear();
    layout.names.clear();
    let mut count = 0usize;
    let end = members(text, start, |key, slot, end| {
        let target = names.get(&key);
        if let Some(target) = target {
            slots.offer(target, slot);
        }
        let below = names.below(&key);
        if let Some(below) = below {
            nested(text, slot, below, slots);
        }
        count += 1;
        layout.names.push(cfray_model::key::bytes_key(&key));
        if count <= LAYOUT {
            let quote = usize::from(matches!(slot.kind, Kind::Text | Kind::Escaped));
            layout.members.push(Member { start: slot.start as usize - quote, end, target, below: below.cloned() });
        }
        Ok(())
    })?;
    if count > LAYOUT {
        layout.members.clear();
    }
    layout.names.sort_unstable();
    layout.names.dedup();
    slots.width = u32::try_from(layout.names.len()).unwrap_or(u32::MAX);
    Ok(end)
}

/// Looks for the user's dotted names inside a nested value. What is broken in there is just not found.
pub(crate) fn nested(text: &[u8], slot: Slot, names: &[NestedName], slots: &mut Slots) {
    for name in names {
        descend(text, slot, &name.path, name.target, slots);
    }
}

/// One step of [`nested`].
fn descend(text: &[u8], slot: Slot, path: &[Vec<u8>], target: Target, slots: &mut Slots) {
    let Some((key, rest)) = path.split_first() else {
        slots.offer(target, slot);
        return;
    };
    if slot.kind != Kind::Nested || text.get(slot.start as usize) != Some(&b'{') {
        return;
    }
    let _ = members(text, slot.start as usize, |found, value, _| {
        if found.eq_ignore_ascii_case(key) {
            descend(text, value, rest, target, slots);
        }
        Ok(())
    });
}
