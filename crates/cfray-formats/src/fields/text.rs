//! Quoted text and the escapes that nginx and Apache write.

use std::borrow::Cow;

/// [`memchr::memchr`] for what stands near: the first `FAR` bytes are looked through eight at a time, without the call and the
/// preparations of a search that is worth its while only in long texts.
#[inline]
pub(crate) fn find_near<const FAR: usize>(byte: u8, text: &[u8]) -> Option<usize> {
    const LOW: u64 = u64::from_le_bytes([1; 8]);
    const HIGH: u64 = u64::from_le_bytes([0x80; 8]);
    let near = text.get(..FAR).unwrap_or(text);
    let (blocks, rest) = near.as_chunks::<8>();
    let mut at = 0;
    for block in blocks {
        let same = u64::from_le_bytes(*block) ^ (LOW * u64::from(byte));
        // The lowest bit is right, which is all that is looked at.
        let zeros = same.wrapping_sub(LOW) & !same & HIGH;
        if zeros != 0 {
            return Some(at + zeros.trailing_zeros() as usize / 8);
        }
        at += 8;
    }
    match rest.iter().position(|b| *b == byte) {
        Some(found) => Some(at + found),
        None => memchr::memchr(byte, text.get(near.len()..)?).map(|found| near.len() + found),
    }
}

/// End of a quoted value: index of the first `"` at or after `from` that no backslash escapes.
///
/// nginx never writes `\"` (it writes `\x22`), Apache does; so one rule suits both.
pub fn closing_quote(text: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        let quote = at + find_near::<64>(b'"', text.get(at..)?)?;
        let slashes = text.get(from..quote)?.iter().rev().take_while(|b| **b == b'\\').count();
        if slashes % 2 == 0 {
            return Some(quote);
        }
        at = quote + 1;
    }
}

/// Like [`closing_quote`], but the quote must end the token (a space or the end follows), if one
/// does: with `escape=none` a value may hold quotes of its own.
pub fn closing_token_quote(text: &[u8], from: usize) -> Option<usize> {
    let first = closing_quote(text, from)?;
    let mut quote = first;
    loop {
        match text.get(quote + 1) {
            None | Some(b' ' | b'\t') => return Some(quote),
            Some(_) => match closing_quote(text, quote + 1) {
                Some(next) => quote = next,
                None => return Some(first),
            },
        }
    }
}

/// Undoes Apache's error-log escapes: `\n \r \t \v \b \\ \" \xHH`. Borrows when there is none.
pub fn unescape_apache(text: &[u8]) -> Cow<'_, [u8]> {
    let Some(first) = memchr::memchr(b'\\', text) else { return Cow::Borrowed(text) };
    let mut out = Vec::with_capacity(text.len());
    out.extend_from_slice(text.get(..first).unwrap_or_default());
    let mut rest = text.get(first..).unwrap_or_default();
    while let Some((&b, tail)) = rest.split_first() {
        if b != b'\\' {
            out.push(b);
            rest = tail;
            continue;
        }
        let (byte, skip) = match tail {
            [b'n', ..] => (b'\n', 1),
            [b'r', ..] => (b'\r', 1),
            [b't', ..] => (b'\t', 1),
            [b'v', ..] => (0x0b, 1),
            [b'b', ..] => (0x08, 1),
            [c @ (b'\\' | b'"'), ..] => (*c, 1),
            [b'x', hi, lo, ..] => match (hex(*hi), hex(*lo)) {
                (Some(hi), Some(lo)) => (hi << 4 | lo, 3),
                _ => (b'\\', 0),
            },
            _ => (b'\\', 0),
        };
        out.push(byte);
        rest = tail.get(skip..).unwrap_or_default();
    }
    Cow::Owned(out)
}

/// Undoes JSON's escapes. `\xHH`, which Apache and nginx's default escaping write into hand-made
/// JSON, is left as it stands: [`cfray_model::key::canonical_uri`] knows it.
pub fn unescape_json(text: &[u8]) -> Cow<'_, [u8]> {
    let Some(first) = memchr::memchr(b'\\', text) else { return Cow::Borrowed(text) };
    let mut out = Vec::with_capacity(text.len());
    out.extend_from_slice(text.get(..first).unwrap_or_default());
    let mut rest = text.get(first..).unwrap_or_default();
    while let Some((&b, tail)) = rest.split_first() {
        if b != b'\\' {
            out.push(b);
            rest = tail;
            continue;
        }
        let (byte, skip) = match tail {
            [b'n', ..] => (b'\n', 1),
            [b'r', ..] => (b'\r', 1),
            [b't', ..] => (b'\t', 1),
            [b'b', ..] => (0x08, 1),
            [b'f', ..] => (0x0c, 1),
            [c @ (b'\\' | b'"' | b'/'), ..] => (*c, 1),
            [b'u', ..] => {
                let (c, used) = json_char(tail);
                match c {
                    Some(c) => {
                        out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                        rest = tail.get(used..).unwrap_or_default();
                        continue;
                    }
                    None => (b'\\', 0),
                }
            }
            _ => (b'\\', 0),
        };
        out.push(byte);
        rest = tail.get(skip..).unwrap_or_default();
    }
    Cow::Owned(out)
}

/// The character of `uXXXX` or of the surrogate pair `uXXXX\uXXXX`, and its length in bytes.
fn json_char(text: &[u8]) -> (Option<char>, usize) {
    let unit = |at: usize| -> Option<u32> {
        let mut value = 0;
        for &b in text.get(at..at + 4)? {
            value = value << 4 | u32::from(hex(b)?);
        }
        Some(value)
    };
    let Some(first) = unit(1) else { return (None, 0) };
    if (0xd800..0xdc00).contains(&first)
        && text.get(5..7) == Some(b"\\u")
        && let Some(second @ 0xdc00..0xe000) = unit(7)
    {
        return (char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)), 11);
    }
    (Some(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER)), 5)
}

fn hex(b: u8) -> Option<u8> {
    match b {
        b'0'..=b'9' => Some(b - b'0'),
        b'a'..=b'f' => Some(b - b'a' + 10),
        b'A'..=b'F' => Some(b - b'A' + 10),
        _ => None,
    }
}

/// `None` for what logs write when there is no value.
pub fn present(value: &[u8]) -> Option<&[u8]> {
    if value.is_empty() || value == b"-" { None } else { Some(value) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn quotes() {
        assert_eq!(closing_quote(br#"a\"b" c"#, 0), Some(4));
        assert_eq!(closing_quote(br#"a\\" c"#, 0), Some(3));
        assert_eq!(closing_quote(br"a\", 0), None);
        assert_eq!(closing_token_quote(br#"a"b" c"#, 0), Some(3));
    }

    #[test]
    fn escapes() {
        assert_eq!(unescape_apache(br"a\nb\x41\\ \q").as_ref(), b"a\nbA\\ \\q");
        assert_eq!(unescape_json(br#"\u00e9\ud83d\ude00\"\/\x41\u12"#).as_ref(), "é😀\"/\\x41\\u12".as_bytes());
        assert!(matches!(unescape_json(b"plain"), Cow::Borrowed(_)));
    }

    proptest! {
        #[test]
        fn near_and_far(text in proptest::collection::vec(prop_oneof![Just(b'"'), Just(b'#'), Just(0xa2u8), Just(0x21u8), any::<u8>()], 0..90), skip in 0usize..90) {
            let text = text.get(skip..).unwrap_or_default();
            let found = text.iter().position(|b| *b == b'"');
            prop_assert_eq!((find_near::<64>(b'"', text), find_near::<3>(b'"', text)), (found, found));
        }

        #[test]
        fn json_strings_read_back(text in any::<String>()) {
            let quoted = serde_json::Value::String(text.clone()).to_string();
            let inner = quoted.as_bytes()[1..quoted.len() - 1].to_vec();
            let plain = unescape_json(&inner).into_owned();
            prop_assert_eq!(plain, text.into_bytes());
        }

        #[test]
        fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = (unescape_json(&bytes), unescape_apache(&bytes), closing_token_quote(&bytes, 0));
        }
    }
}
