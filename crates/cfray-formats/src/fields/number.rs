//! Numbers and the lists that nginx writes when several upstreams were tried.

/// An unsigned decimal integer and nothing else; `None` on overflow.
pub fn integer(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 20 {
        return None;
    }
    let mut value = 0u64;
    for &b in text {
        if !b.is_ascii_digit() {
            return None;
        }
        value = value.checked_mul(10)?.checked_add(u64::from(b - b'0'))?;
    }
    Some(value)
}

/// Three digits of an HTTP status, `000` and `009` included.
pub fn status(text: &[u8]) -> Option<u16> {
    if text.len() == 3 { integer(text).and_then(|n| u16::try_from(n).ok()) } else { None }
}

/// A decimal number scaled by `unit`: `0.043` with a unit of 1,000,000 (seconds to microseconds)
/// gives 43,000. What is finer than one is cut off.
pub fn scaled(text: &[u8], unit: u64) -> Option<u64> {
    let (whole, part) = match memchr::memchr(b'.', text) {
        Some(dot) => (text.get(..dot)?, text.get(dot + 1..)?),
        None => (text, &b""[..]),
    };
    let mut value = integer(whole)?.checked_mul(unit)?;
    let mut digit_unit = unit;
    for &b in part {
        if !b.is_ascii_digit() {
            return None;
        }
        digit_unit /= 10;
        value = value.checked_add(u64::from(b - b'0') * digit_unit)?;
    }
    Some(value)
}

/// Is it a decimal number with exactly `places` digits after the point?
pub fn has_places(text: &[u8], places: usize) -> bool {
    match memchr::memchr(b'.', text) {
        Some(dot) if dot > 0 => {
            let (whole, part) = text.split_at(dot);
            part.len() == places + 1 && whole.iter().all(u8::is_ascii_digit) && part.iter().skip(1).all(u8::is_ascii_digit)
        }
        _ => false,
    }
}

/// The last element of an nginx list: `502, 200 : 404` gives `404`.
pub fn list_last(text: &[u8]) -> &[u8] {
    let last = text.rsplit(|&b| b == b',').next().unwrap_or(text);
    // " : " parts internal redirects; a colon without spaces belongs to an address.
    let last = match memchr::memmem::rfind(last, b" : ") {
        Some(at) => last.get(at + 3..).unwrap_or(last),
        None => last,
    };
    last.trim_ascii()
}

/// The first element of a list parted by commas, without spaces.
pub fn list_first(text: &[u8]) -> &[u8] {
    text.split(|&b| b == b',').next().unwrap_or(text).trim_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        assert_eq!(integer(b"18446744073709551615"), Some(u64::MAX));
        assert_eq!(integer(b"18446744073709551616"), None);
        assert_eq!(integer(b"-1"), None);
        assert_eq!(scaled(b"0.043", 1_000_000), Some(43_000));
        assert_eq!(scaled(b"12", 1_000), Some(12_000));
        assert_eq!(scaled(b"1.5x", 1_000), None);
        assert_eq!(status(b"009"), Some(9));
        assert_eq!(status(b"20"), None);
        assert!(has_places(b"12.345", 3) && !has_places(b".345", 3) && !has_places(b"1.2345", 3));
    }

    #[test]
    fn lists() {
        assert_eq!(list_last(b"502, 200 : 404"), b"404");
        assert_eq!(list_last(b"127.0.0.1:80, unix:/a.sock"), b"unix:/a.sock");
        assert_eq!(list_first(b"198.51.100.7, 172.68.1.1"), b"198.51.100.7");
    }
}
