//! Numbers of seven bits a byte, low ones first: small numbers are short. The top bit says that more follows.

/// Hands on the bytes of a number.
#[inline]
pub fn put(mut number: u64, mut byte: impl FnMut(u8)) {
    while number >= 0x80 {
        byte(number as u8 | 0x80);
        number >>= 7;
    }
    byte(number as u8);
}

/// Takes the bytes of a number; `None` where they end before it does or go on beyond 64 bits.
#[inline]
pub fn take(mut byte: impl FnMut() -> Option<u8>) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let next = byte()?;
        number |= u64::from(next & 0x7f) << shift;
        if next < 0x80 {
            return Some(number);
        }
    }
    None
}

/// Small numbers of either sign as small numbers.
pub const fn fold(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)) as u64
}

/// Undoes [`fold`].
pub const fn unfold(number: u64) -> i64 {
    ((number >> 1) as i64) ^ -((number & 1) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_come_back(numbers in prop::collection::vec(prop_oneof![any::<u64>(), 0..300u64, Just(u64::MAX)], 0..20)) {
            let mut bytes = Vec::new();
            numbers.iter().for_each(|number| put(*number, |byte| bytes.push(byte)));
            let mut rest = bytes.iter().copied();
            for number in &numbers {
                prop_assert_eq!(take(|| rest.next()), Some(*number));
                prop_assert_eq!(fold(unfold(*number)), *number);
            }
            prop_assert_eq!(take(|| rest.next()), None);
        }
    }

    #[test]
    fn without_an_end_there_is_no_number() {
        let endless = || Some(0xff);
        assert_eq!(take(endless), None);
        assert_eq!([0, -1, 1, i64::MAX, i64::MIN].map(fold), [0, 1, 2, u64::MAX - 1, u64::MAX]);
    }
}
