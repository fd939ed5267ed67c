//! CF-RAY identifiers. Their digits have no public meaning: only equality is ever used.

use std::fmt;

/// A Cloudflare ray: 15 or 16 hexadecimal digits (older rays drop a leading zero).
///
/// Logpush writes it bare; the `CF-Ray` request header adds `-` and the code of a data centre,
/// which with Argo or tiered cache is not the one the visitor reached, so it is dropped.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct RayId(pub u64);

/// In [`DIGITS`]: not a hexadecimal digit.
const NO_DIGIT: u8 = 0x80;

/// Value of each byte as a hexadecimal digit.
static DIGITS: [u8; 256] = {
    let mut table = [NO_DIGIT; 256];
    let mut digit = 0;
    while digit < 16 {
        let (lower, upper) = (b"0123456789abcdef"[digit], b"0123456789ABCDEF"[digit]);
        table[lower as usize] = digit as u8;
        table[upper as usize] = digit as u8;
        digit += 1;
    }
    table
};

/// As it is: its digits are as good as random.
impl crate::shelf::Pack for RayId {
    fn pack<'t>(&'t self, out: &mut crate::shelf::Packer<'t>) {
        out.raw(&self.0.to_le_bytes());
    }
    fn unpack(from: &mut crate::shelf::Unpack<'_>) -> Self {
        Self(u64::from_le_bytes(crate::shelf::Pack::unpack(from)))
    }
}

impl RayId {
    /// Reads `9e0ad402c9afa70a` or `9e0ad402c9afa70a-FRA`; anything else, the empty string, and
    /// Logpush's "no parent" value `00` give `None`.
    pub fn parse(text: &[u8]) -> Option<Self> {
        // The dash can only stand behind the digits.
        let digits = match text.get(15) {
            Some(b'-') => 15,
            None => 15,
            Some(_) => 16,
        };
        let (hex, rest) = text.split_at_checked(digits)?;
        if let [dash, colo @ ..] = rest
            && (*dash != b'-' || colo.is_empty() || colo.len() > 8 || !colo.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-'))
        {
            return None;
        }
        let (mut value, mut bad) = (0u64, 0u8);
        let mut add = |b: u8| {
            let digit = DIGITS[usize::from(b)];
            bad |= digit;
            // What is no digit spoils the value, which nobody sees then.
            value = value << 4 | u64::from(digit);
        };
        match <&[u8; 16]>::try_from(hex) {
            // A loop of known length takes half the time.
            Ok(hex) => hex.iter().for_each(|b| add(*b)),
            Err(_) => hex.iter().for_each(|b| add(*b)),
        }
        if bad & NO_DIGIT != 0 {
            return None;
        }
        (value != 0).then_some(Self(value))
    }
}

impl fmt::Display for RayId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for RayId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RayId({self})")
    }
}

impl serde::Serialize for RayId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_and_logpush_forms_are_equal() {
        let bare = RayId::parse(b"9e0ad402c9afa70a");
        assert!(bare.is_some());
        assert_eq!(bare, RayId::parse(b"9e0ad402c9afa70a-FRA"));
        assert_eq!(bare, RayId::parse(b"9E0AD402C9AFA70A"));
        assert_eq!(bare.map(|r| r.to_string()).as_deref(), Some("9e0ad402c9afa70a"));
    }

    /// Each byte in each place, against digits looked up one by one.
    #[test]
    fn every_byte_in_every_place() {
        for at in 0..16 {
            for b in 0..=255u8 {
                let mut text = *b"9e0Ad402c9aFa70b";
                text[at] = b;
                let read = std::str::from_utf8(&text).ok().filter(|_| b != b'+').and_then(|t| u64::from_str_radix(t, 16).ok());
                assert_eq!(RayId::parse(&text), read.map(RayId), "{b} at {at}");
            }
        }
    }

    #[test]
    fn others_are_not_rays() {
        for text in
            ["", "00", "-", "9e0ad402c9afa70", "9e0ad402c9afa70a-", "9e0ad402c9afa70g", "9e0ad402c9afa70a-FRA FRA", "0000000000000000"]
        {
            let expect_some = text.len() == 15;
            assert_eq!(RayId::parse(text.as_bytes()).is_some(), expect_some, "{text}");
        }
    }
}
