//! `Subrequests[]`: rows inside a row (Logpush with subrequest merging).

use super::collect::Collector;
use super::fields::Names;
use super::full::{self, Layout};
use super::row;
use super::value::{Kind, Row, Slots};
use cfray_model::{EdgeField, LineRef, RayId};

/// Rows in rows in rows are followed this far.
const DEPTH: usize = 4;

/// Takes a row and, after it, each of its subrequests as a row of its own, with this row as its parent.
/// A subrequest that is no object is left out; its place is the parent's line and its own byte.
pub(crate) fn take(values: &Row<'_>, at: LineRef, found_in: Option<RayId>, names: &Names, out: &mut Collector) {
    take_at(values, at, found_in, names, out, 0);
}

fn take_at(values: &Row<'_>, at: LineRef, found_in: Option<RayId>, names: &Names, out: &mut Collector, depth: usize) {
    out.row(values, at, found_in);
    if values.slots.get(EdgeField::Subrequests).kind == Kind::Absent || depth >= DEPTH {
        return;
    }
    let Some((text, start)) = values.nested(EdgeField::Subrequests) else { return };
    let parent = row::ray(values).or(found_in);
    let mut slots = Slots::default();
    let mut layout = Layout::default();
    let first = text.iter().position(|b| !b.is_ascii_whitespace()).unwrap_or(0);
    let _ = full::elements(&text, first, |from, _| {
        if full::object(&text, from, names, &mut slots, &mut layout).is_ok() && slots.mask != 0 {
            let inner = Row { bytes: &text, slots: &slots };
            let offset = at.offset + (start + from) as u64;
            take_at(&inner, LineRef { offset, ..at }, parent, names, out, depth + 1);
        }
    });
}

/// Rows inside an object or array that has no known field of its own: `{"events":[{"info":{...}}]}`.
/// Calls `each` with the text, the slots and the position of every row found.
pub(crate) fn inner_rows(text: &[u8], start: usize, names: &Names, each: &mut dyn FnMut(usize, &Slots), depth: usize) {
    if depth > DEPTH {
        return;
    }
    let mut found = |from: usize| {
        let mut slots = Slots::default();
        let mut layout = Layout::default();
        match text.get(from) {
            Some(b'{') if full::object(text, from, names, &mut slots, &mut layout).is_ok() && slots.mask != 0 => each(from, &slots),
            Some(b'{' | b'[') => inner_rows(text, from, names, each, depth + 1),
            _ => {}
        }
    };
    let _ = match text.get(start) {
        Some(b'[') => full::elements(text, start, |from, _| found(from)),
        _ => full::members(text, start, |_, slot, _| {
            if slot.kind == Kind::Nested {
                found(slot.start as usize);
            }
            Ok(())
        }),
    };
}
