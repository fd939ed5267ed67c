//! Values of a row as they stand in the input, decoded only when somebody asks.

use super::fields::{FIELDS, Target};
use super::time::{self, EdgeTime};
use cfray_model::text::lossy;
use cfray_model::{EdgeField, Pool, Text};
use std::borrow::Cow;

/// How a value is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Kind {
    /// The row does not have the field.
    #[default]
    Absent,
    /// JSON `null`: like an absent field.
    Null,
    /// Text that stands for itself: a JSON string without escapes, a CSV cell.
    Text,
    /// A JSON string with at least one backslash, without its quotes.
    Escaped,
    /// A quoted CSV cell with doubled quotes, without its outer ones.
    Doubled,
    /// A number, `true` or `false`.
    Scalar,
    /// A JSON array or object.
    Nested,
}

/// Where a value stands, relative to its record.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Slot {
    /// First byte.
    pub start: u32,
    /// Length in bytes.
    pub len: u32,
    /// How it is written.
    pub kind: Kind,
}

/// The values of one record: what both the fast and the full parser produce, and all that the code
/// behind them ever sees.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Slots {
    slots: [Slot; FIELDS],
    ranks: [u8; FIELDS],
    /// Bit `EdgeField as usize` for every field that occurs, whatever its value.
    pub mask: u64,
    /// Number of distinct names at the top level.
    pub width: u32,
}

impl Default for Slots {
    fn default() -> Self {
        Self { slots: [Slot::default(); FIELDS], ranks: [u8::MAX; FIELDS], mask: 0, width: 0 }
    }
}

impl Slots {
    /// Forgets the last record.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Takes a value unless a stronger name has filled the field.
    pub fn offer(&mut self, target: Target, slot: Slot) {
        let i = target.field as usize;
        if let (Some(rank), Some(place)) = (self.ranks.get_mut(i), self.slots.get_mut(i))
            && target.rank <= *rank
        {
            *rank = target.rank;
            *place = slot;
            self.mask |= 1 << i;
        }
    }

    /// Sets a value whose name is known to be the strongest of its record.
    #[inline]
    pub fn set(&mut self, field: usize, start: usize, len: usize, kind: Kind) {
        if let Some(place) = self.slots.get_mut(field) {
            *place = Slot { start: start as u32, len: len as u32, kind };
        }
    }

    /// The value of a field.
    #[inline]
    pub fn get(&self, field: EdgeField) -> Slot {
        self.slots.get(field as usize).copied().unwrap_or_default()
    }
}

/// One record with its values.
#[derive(Clone, Copy)]
pub(crate) struct Row<'a> {
    /// The record's bytes.
    pub bytes: &'a [u8],
    /// Where its values stand.
    pub slots: &'a Slots,
}

impl<'a> Row<'a> {
    /// The bytes of a value as written.
    #[inline(always)]
    fn raw(&self, slot: Slot) -> &'a [u8] {
        let start = slot.start as usize;
        self.bytes.get(start..start + slot.len as usize).unwrap_or_default()
    }

    /// Text of a field. Numbers and booleans are text, too; `null`, arrays and objects are absent.
    #[inline(always)]
    pub fn text(&self, field: EdgeField) -> Option<Cow<'a, [u8]>> {
        let slot = self.slots.get(field);
        match slot.kind {
            Kind::Text | Kind::Scalar => Some(Cow::Borrowed(self.raw(slot))),
            Kind::Escaped => Some(Cow::Owned(unescape(self.raw(slot)))),
            Kind::Doubled => Some(Cow::Owned(undouble(self.raw(slot)))),
            Kind::Absent | Kind::Null | Kind::Nested => None,
        }
    }

    /// JSON text of a field that holds an array or object, also when that text is inside a string.
    pub fn nested(&self, field: EdgeField) -> Option<(Cow<'a, [u8]>, usize)> {
        let slot = self.slots.get(field);
        match slot.kind {
            Kind::Nested => Some((Cow::Borrowed(self.raw(slot)), slot.start as usize)),
            _ => self.text(field).map(|t| (t, slot.start as usize)),
        }
    }

    /// Text for a person: invalid UTF-8 replaced.
    pub fn shared(&self, field: EdgeField, texts: &mut Texts) -> Option<Text> {
        Some(texts.share(field, &self.text(field)?))
    }

    /// A whole number, written as number or string; a fraction is cut off.
    #[inline]
    pub fn int(&self, field: EdgeField) -> Option<i64> {
        int(&self.text(field)?)
    }

    /// An HTTP status.
    #[inline]
    pub fn status(&self, field: EdgeField) -> Option<u16> {
        u16::try_from(self.int(field)?).ok()
    }

    /// A boolean, also as text or 0/1.
    pub fn bool(&self, field: EdgeField) -> Option<bool> {
        let text = self.text(field)?;
        let text = text.trim_ascii();
        if text.eq_ignore_ascii_case(b"true") || text == b"1" {
            Some(true)
        } else if text.eq_ignore_ascii_case(b"false") || text == b"0" {
            Some(false)
        } else {
            None
        }
    }

    /// A time.
    #[inline]
    pub fn time(&self, field: EdgeField) -> Option<EdgeTime> {
        time::parse(&self.text(field)?)
    }
}

/// Texts that the last rows held, by field, so that fields with many values do not push out those with few.
#[derive(Debug)]
pub(crate) struct Texts([Pool; FIELDS]);

impl Default for Texts {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Pool::default()))
    }
}

impl Texts {
    /// A text of a field, shared with the last rows that had it.
    pub fn share(&mut self, field: EdgeField, text: &[u8]) -> Text {
        self.0.get_mut(field as usize).map_or_else(|| lossy(text).into(), |pool| pool.get_lossy(text))
    }
}

/// A whole number from its text.
#[inline]
pub(crate) fn int(text: &[u8]) -> Option<i64> {
    if let Some(value) = time::digits(text) {
        return i64::try_from(value).ok();
    }
    let nanos = time::nano_decimal(text.trim_ascii())?;
    i64::try_from(nanos / 1_000_000_000).ok()
}

/// Decodes the escapes of a JSON string. What JSON does not allow stays as it is; a lone surrogate
/// becomes U+FFFD.
pub(crate) fn unescape(raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        let (before, escape) = rest.split_at(at);
        out.extend_from_slice(before);
        let plain = match escape.get(1) {
            Some(b'n') => b'\n',
            Some(b't') => b'\t',
            Some(b'r') => b'\r',
            Some(b'b') => 8,
            Some(b'f') => 12,
            Some(&b @ (b'"' | b'\\' | b'/')) => b,
            Some(b'u') => {
                let (c, used) = unicode(escape);
                match c {
                    Some(c) => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
                    None => out.extend_from_slice(escape.get(..used).unwrap_or_default()),
                }
                rest = escape.get(used..).unwrap_or_default();
                continue;
            }
            _ => {
                out.push(b'\\');
                rest = escape.get(1..).unwrap_or_default();
                continue;
            }
        };
        out.push(plain);
        rest = escape.get(2..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
    out
}

/// A `\uXXXX` escape, or two that make a pair: the character and the bytes used.
fn unicode(escape: &[u8]) -> (Option<char>, usize) {
    let hex = |at: usize| -> Option<u32> {
        if escape.get(at..at + 2)? != b"\\u" {
            return None;
        }
        escape.get(at + 2..at + 6)?.iter().try_fold(0, |n, &b| Some(n * 16 + (b as char).to_digit(16)?))
    };
    match hex(0) {
        None => (None, 2),
        Some(high @ 0xd800..=0xdbff) => match hex(6) {
            Some(low @ 0xdc00..=0xdfff) => (char::from_u32(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00)), 12),
            _ => (Some(char::REPLACEMENT_CHARACTER), 6),
        },
        Some(unit) => (Some(char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER)), 6),
    }
}

/// Undoes RFC 4180's doubled quotes.
fn undouble(raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len());
    let mut bytes = raw.iter();
    while let Some(&b) = bytes.next() {
        out.push(b);
        if b == b'"' {
            bytes.next();
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn odd_escapes() {
        assert_eq!(unescape(b"a\\u00e9\\ud83d\\ude00\\n"), "a\u{e9}\u{1f600}\n".as_bytes());
        assert_eq!(unescape(b"\\ud83dx"), "\u{fffd}x".as_bytes());
        assert_eq!(unescape(b"\\q\\u12"), b"\\q\\u12");
        assert_eq!(unescape(b"x\\"), b"x\\");
    }

    #[test]
    fn numbers() {
        assert_eq!(int(b"520"), Some(520));
        assert_eq!(int(b" -7 "), Some(-7));
        assert_eq!(int(b"12.9"), Some(12));
        assert_eq!(int(b"9223372036854775807"), Some(i64::MAX));
        assert_eq!(int(b"9223372036854775808"), None);
        assert_eq!(int(b""), None);
        assert_eq!(int(b"5x"), None);
    }

    proptest! {
        #[test]
        fn unescape_undoes_serde(text in any::<String>()) {
            let json = serde_json::to_string(&text).unwrap();
            prop_assert_eq!(unescape(&json.as_bytes()[1..json.len() - 1]), text.as_bytes());
        }

        #[test]
        fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = (unescape(&bytes), undouble(&bytes), int(&bytes));
        }
    }
}
