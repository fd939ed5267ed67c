//! Log escapes back to bytes.

use std::borrow::Cow;

/// Undoes the escapes of nginx and Apache logs: `\xHH`, `\"`, `\\`, and C's letters. Anything else
/// behind a backslash stays as it is.
pub fn unescape(text: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b'\\', text).is_none() {
        return Cow::Borrowed(text);
    }
    let digit = |at: usize| text.get(at).and_then(|&b| char::from(b).to_digit(16));
    let mut out = Vec::with_capacity(text.len());
    let mut i = 0;
    while let Some(&b) = text.get(i) {
        let (byte, taken) = match (b, text.get(i + 1)) {
            (b'\\', Some(b'x')) => match (digit(i + 2), digit(i + 3)) {
                (Some(hi), Some(lo)) => (u8::try_from(hi * 16 + lo).unwrap_or(b), 4),
                _ => (b, 1),
            },
            (b'\\', Some(c @ (b'"' | b'\\'))) => (*c, 2),
            (b'\\', Some(b'n')) => (b'\n', 2),
            (b'\\', Some(b't')) => (b'\t', 2),
            (b'\\', Some(b'r')) => (b'\r', 2),
            (b'\\', Some(b'b')) => (8, 2),
            (b'\\', Some(b'f')) => (12, 2),
            (b'\\', Some(b'v')) => (11, 2),
            _ => (b, 1),
        };
        out.push(byte);
        i += taken;
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::unescape;
    use proptest::prelude::*;

    #[test]
    fn escapes_of_both_servers() {
        assert_eq!(&*unescape(br#"a\x22b\xC3\xA9 \"c\" \\d \t."#), b"a\"b\xc3\xa9 \"c\" \\d \t.");
        assert_eq!(&*unescape(br"tail\"), br"tail\");
        assert_eq!(&*unescape(br"\xG1 \q"), br"\xG1 \q");
    }

    proptest! {
        #[test]
        fn nginx_escape_is_undone(raw in prop::collection::vec(any::<u8>(), 0..40)) {
            let mut logged = Vec::new();
            for &b in &raw {
                if b == b'"' || b == b'\\' || !(0x20..0x7f).contains(&b) {
                    logged.extend_from_slice(format!("\\x{b:02X}").as_bytes());
                } else {
                    logged.push(b);
                }
            }
            prop_assert_eq!(&*unescape(&logged), &raw[..]);
        }
    }
}
