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

/// Stands for what is left out.
const GAP: &str = " … ";

/// At most `max` characters of a record. A ` … ` stands for the middle: what happened is at a record's start, and the request,
/// in JSON the status, at its end. Where the middle holds the ray, as among the headers that Caddy and loggers of Node write, the
/// ray stays with its name.
pub fn clip_middle(text: &str, max: usize) -> Cow<'_, str> {
    if text.len() <= max || text.char_indices().nth(max).is_none() {
        return Cow::Borrowed(text);
    }
    let gap = GAP.chars().count();
    let tail = max / 4;
    let from = text.char_indices().rev().nth(tail.saturating_sub(1)).map_or(text.len(), |(at, _)| at);
    let end_of = |head: usize| text.char_indices().nth(head).map_or(text.len(), |(at, _)| at);
    let head = max.saturating_sub(tail + gap);
    let ray = ray_of(text).filter(|ray| ray.len() + gap <= head && ray.end > end_of(head) && ray.start < from);
    // It may begin in the head or reach into the tail: then one of the two gaps has no width, and is none.
    let (end, kept) = match ray {
        Some(ray) => {
            // It is ASCII or nearly so: what its bytes take more is room to spare.
            (end_of(head.saturating_sub(ray.len() + gap)), Some(ray))
        }
        None => (end_of(head), None),
    };
    let mut out = String::with_capacity(max + 2 * GAP.len());
    out.push_str(text.get(..end).unwrap_or_default());
    if let Some(ray) = kept {
        if ray.start > end {
            out.push_str(GAP);
        }
        out.push_str(text.get(ray.start.max(end)..ray.end.min(from)).unwrap_or_default());
        if ray.end < from {
            out.push_str(GAP);
        }
    } else {
        out.push_str(GAP);
    }
    out.push_str(text.get(from..).unwrap_or_default());
    Cow::Owned(out)
}

/// Names under which logs hold the ray, in lower case.
const RAY_NAMES: [&[u8]; 4] = [b"cf-ray", b"cf_ray", b"rayid", b"ray_id"];
/// Digits of a ray, and the most that stands between its name and its first digit (`\":[\"`).
const RAY_DIGITS: usize = 16;
const BETWEEN: usize = 8;

/// Where a ray stands with its name, the first of them.
fn ray_of(text: &str) -> Option<std::ops::Range<usize>> {
    let bytes = text.as_bytes();
    let named = |at: usize| RAY_NAMES.iter().find(|name| bytes.get(at..at + name.len()).is_some_and(|b| b.eq_ignore_ascii_case(name)));
    memchr::memchr2_iter(b'c', b'C', bytes).chain(memchr::memchr2_iter(b'r', b'R', bytes)).find_map(|at| {
        let after = at + named(at)?.len();
        let between = bytes.get(after..)?.iter().take(BETWEEN + 1).position(u8::is_ascii_hexdigit)?;
        let digits = bytes.get(after + between..after + between + RAY_DIGITS)?;
        digits.iter().all(u8::is_ascii_hexdigit).then_some(at..after + between + RAY_DIGITS)
    })
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

    #[test]
    fn the_ray_stays() {
        let record = |before: usize, after: usize, name: &str| {
            format!("{{\"msg\":\"{}\",\"{name}\":[\"9b98ebc46e4dc073-GRU\"],\"{}\":0}}", "x".repeat(before), "y".repeat(after))
        };
        for name in ["Cf-Ray", "cf_ray", "RayID"] {
            for (before, after) in [(0, 500), (250, 500), (300, 300), (350, 30), (500, 90), (500, 60), (500, 20)] {
                let record = record(before, after, name);
                let clipped = clip_middle(&record, EVIDENCE_CHARS);
                assert!(clipped.contains("9b98ebc46e4dc073") && clipped.chars().count() <= EVIDENCE_CHARS, "{before} {after}: {clipped}");
                assert!(clipped.starts_with("{\"msg\":\"") && clipped.ends_with(":0}"), "{clipped}");
            }
        }
        let other = record(400, 400, "id");
        assert!(!clip_middle(&other, EVIDENCE_CHARS).contains("9b98ebc46e4dc073"), "any 16 digits are no ray");
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
