//! What logs hold must not act on the reader's terminal, nor hide what it says.

use std::borrow::Cow;

/// Longest text of one item of evidence, in characters.
pub const EVIDENCE_CHARS: usize = 400;

/// C0, DEL and C1: some terminals obey C1 controls even when they arrive as UTF-8.
fn is_control(c: char) -> bool {
    matches!(c, '\0'..='\x1f' | '\x7f'..='\u{9f}')
}

/// Marks that turn the reading direction around or cannot be seen at all.
fn is_hidden(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
    )
}

/// Control bytes as `\xHH`; everything else as it is.
pub fn controls(text: &str) -> Cow<'_, str> {
    escape(text, is_control)
}

/// Control bytes as `\xHH`, bidirectional and invisible marks as `\u{…}`: safe to show to people.
pub fn visible(text: &str) -> Cow<'_, str> {
    escape(text, |c| is_control(c) || is_hidden(c))
}

/// Raw bytes of a log for people: as [`visible`], and bytes that are no UTF-8 as `\xHH`, too.
pub fn visible_bytes(bytes: &[u8]) -> String {
    use std::fmt::Write;
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        out.push_str(&visible(chunk.valid()));
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02X}");
        }
    }
    out
}

fn escape(text: &str, unwanted: impl Fn(char) -> bool) -> Cow<'_, str> {
    use std::fmt::Write;
    // Plain ASCII is nearly everything, and told in one go.
    if text.as_bytes().iter().fold(true, |plain, byte| plain & (byte.wrapping_sub(b' ') < 0x7f - b' ')) {
        return Cow::Borrowed(text);
    }
    let Some(first) = text.find(&unwanted) else { return Cow::Borrowed(text) };
    let (clean, rest) = text.split_at(first);
    let mut out = String::with_capacity(text.len() + 16);
    out.push_str(clean);
    for c in rest.chars() {
        if !unwanted(c) {
            out.push(c);
        } else if is_control(c) {
            let _ = write!(out, "\\x{:02X}", u32::from(c));
        } else {
            let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
        }
    }
    Cow::Owned(out)
}

/// At most `max` characters; what is cut off the end leaves a `…`.
pub fn clip(text: &str, max: usize) -> Cow<'_, str> {
    if text.len() <= max || text.char_indices().nth(max).is_none() {
        return Cow::Borrowed(text);
    }
    let end = text.char_indices().nth(max.saturating_sub(1)).map_or(text.len(), |(at, _)| at);
    let mut out = String::with_capacity(end + 3);
    out.push_str(text.get(..end).unwrap_or_default());
    out.push('…');
    Cow::Owned(out)
}

/// At most `max` characters of a record. A ` … ` stands for the middle: what happened is at a record's start, and the request,
/// in JSON the status, at its end.
pub fn clip_middle(text: &str, max: usize) -> Cow<'_, str> {
    const GAP: &str = " … ";
    if text.len() <= max || text.char_indices().nth(max).is_none() {
        return Cow::Borrowed(text);
    }
    let tail = max / 4;
    let head = max.saturating_sub(tail + GAP.chars().count());
    let end = text.char_indices().nth(head).map_or(text.len(), |(at, _)| at);
    let from = text.char_indices().rev().nth(tail.saturating_sub(1)).map_or(text.len(), |(at, _)| at);
    let mut out = String::with_capacity(end + GAP.len() + text.len().saturating_sub(from));
    out.push_str(text.get(..end).unwrap_or_default());
    out.push_str(GAP);
    out.push_str(text.get(from..).unwrap_or_default());
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn marks_are_shown_not_obeyed() {
        assert_eq!(visible("a\x1b[31mb\tc\u{9b}2J"), "a\\x1B[31mb\\x09c\\x9B2J");
        assert_eq!(visible("exe\u{202e}gpj.\u{200f}"), "exe\\u{202e}gpj.\\u{200f}");
        assert_eq!(controls("exe\u{202e}"), "exe\u{202e}");
        assert_eq!(visible("שלום ünïcode 日本"), "שלום ünïcode 日本");
        assert_eq!(visible_bytes(b"ok \xff\x07"), "ok \\xFF\\x07");
    }

    #[test]
    fn clips_by_characters() {
        assert_eq!(clip("日本語", 3), "日本語");
        assert_eq!(clip("日本語x", 3), "日本…");
        assert_eq!(clip("", 0), "");
        assert_eq!(clip_middle("日本語日本語日本語日本語", 12), "日本語日本語日本語日本語");
        assert_eq!(clip_middle("0123456789abcdef", 12), "012345 … def");
    }

    proptest! {
        #[test]
        fn nothing_unwanted_is_left(text in any::<String>(), max in 1usize..50) {
            let shown = visible(&text);
            prop_assert!(!shown.chars().any(|c| is_control(c) || is_hidden(c)));
            prop_assert_eq!(visible(&shown), shown.clone());
            prop_assert!(clip(&shown, max).chars().count() <= max);
            prop_assert!(clip_middle(&shown, max + 4).chars().count() <= max + 4);
        }
    }
}
