//! Every way of searching says what a loop over bytes says.

use super::*;
use proptest::prelude::*;

/// Every length, with an end in every place and in none, in an allocation of just that length: what Miri looks at, since
/// random texts would take it too long.
#[test]
fn every_length_and_place() {
    // Built for a machine that has them, the wide search must not be passed over.
    assert!(has_wide() || !cfg!(all(target_feature = "avx2", target_feature = "bmi1", target_feature = "bmi2")));
    // Miri: those around multiples of 8.
    for len in (0..72).filter(|len| !cfg!(miri) || matches!(len % 8, 0 | 1 | 7)) {
        for stop in 0..=len {
            let text: Box<[u8]> = (0..len).map(|i| if i == stop { b'"' } else { b'7' }).collect();
            let found = (stop < len).then_some(stop);
            assert_eq!(Narrow::string_stop(&text, 0), found);
            assert_eq!(digits_end(&text, 0), stop);
            let literal: Box<[u8]> = text[..stop].into();
            assert!(Narrow::continues(&text, 0, &literal) && !Narrow::continues(&text, len - stop + 1, &literal));
            assert_eq!(Narrow::continues(&text, len - stop, &literal), stop == len || 2 * stop < len);
            #[cfg(target_arch = "x86_64")]
            if has_wide() {
                assert_eq!(Wide::string_stop(&text, 0), found);
                assert!(Wide::continues(&text, 0, &literal) && !Wide::continues(&text, len - stop + 1, &literal));
                assert_eq!(Wide::continues(&text, len - stop, &literal), stop == len || 2 * stop < len);
            }
        }
    }
}

proptest! {
    #[test]
    fn searches_agree_with_loops(text in proptest::collection::vec(any::<u8>(), 0..80), at in 0usize..90) {
        let stop = text.iter().enumerate().skip(at).find(|(_, b)| **b < 0x20 || matches!(b, b'"' | b'\\')).map(|(i, _)| i);
        prop_assert_eq!(Narrow::string_stop(&text, at), stop);
        #[cfg(target_arch = "x86_64")]
        if has_wide() {
            prop_assert_eq!(Wide::string_stop(&text, at), stop);
        }
    }

    #[test]
    fn digits(text in "[0-9]{0,40}[a-z,}/:]?[0-9]{0,20}", at in 0usize..10) {
        let text = text.as_bytes();
        let end = text.iter().enumerate().skip(at).find(|(_, b)| !b.is_ascii_digit()).map_or(text.len().max(at), |(i, _)| i);
        prop_assert_eq!(digits_end(text, at), end);
    }

    #[test]
    fn one_of_four(text in "[a-z]{0,70}", at in 0usize..90, which in 0usize..4) {
        let (mut text, four) = (text.into_bytes(), b"#%\\{");
        prop_assert!(!holds_any(&text, four));
        if let Some(b) = text.get_mut(at) {
            *b = four[which];
            prop_assert!(holds_any(&text, four));
        }
    }

    #[test]
    fn masks(block in proptest::collection::vec(prop_oneof![any::<u8>(), 0x1eu8..0x24, b'.'..b'<', Just(b'\\')], 32)) {
        let block: [u8; 32] = block.try_into().unwrap_or([0; 32]);
        let bits = |f: &dyn Fn(u8) -> bool| block.iter().rev().fold(0u32, |m, b| m << 1 | u32::from(f(*b)));
        let (stops, no_digits) = (bits(&|b| b < 0x20 || matches!(b, b'"' | b'\\')), bits(&|b| !b.is_ascii_digit()));
        prop_assert_eq!((Narrow::stops(&block), Narrow::no_digits(&block)), (stops, no_digits));
        #[cfg(target_arch = "x86_64")]
        if has_wide() {
            prop_assert_eq!((Wide::stops(&block), Wide::no_digits(&block)), (stops, no_digits));
        }
        #[cfg(target_arch = "x86_64")]
        if has_widest() {
            prop_assert_eq!((Widest::stops(&block), Widest::no_digits(&block)), (stops, no_digits));
        }
    }

    #[test]
    fn units(a in proptest::collection::vec(0u8..2, UNIT), b in proptest::collection::vec(0u8..2, UNIT)) {
        let (a, b): ([u8; UNIT], [u8; UNIT]) = (a.try_into().unwrap_or([0; UNIT]), b.try_into().unwrap_or([0; UNIT]));
        let bits = a.iter().zip(&b).rev().fold(0u64, |m, (a, b)| m << 1 | u64::from(a != b));
        prop_assert_eq!(Narrow::differ(&a, &b), bits);
        #[cfg(target_arch = "x86_64")]
        if has_wide() {
            prop_assert_eq!(Wide::differ(&a, &b), bits);
        }
        #[cfg(target_arch = "x86_64")]
        if has_widest() {
            prop_assert_eq!(Widest::differ(&a, &b), bits);
        }
    }

    #[test]
    fn marks_of_64(block in proptest::collection::vec(prop_oneof![any::<u8>(), 0x1eu8..0x24, Just(b'\\'), Just(b':'), Just(b',')], UNIT)) {
        let block: [u8; UNIT] = block.try_into().unwrap_or([0; UNIT]);
        let bits = |f: &dyn Fn(u8) -> bool| block.iter().rev().fold(0u64, |m, b| m << 1 | u64::from(f(*b)));
        let marks = [bits(&|b| b == b'"'), bits(&|b| b < 0x20 || b == b'\\'), bits(&|b| matches!(b, b',' | b':'))];
        prop_assert_eq!(Narrow::marks(&block), marks);
        #[cfg(target_arch = "x86_64")]
        if has_wide() {
            prop_assert_eq!(Wide::marks(&block), marks);
        }
        #[cfg(target_arch = "x86_64")]
        if has_widest() {
            prop_assert_eq!(Widest::marks(&block), marks);
        }
    }

    /// Where the short way knows the end, it is the one that the grammar says.
    #[test]
    fn ends_of_strings(
        parts in proptest::collection::vec("\"[a-z{}:,]{0,50}\"|[:,]|[:,]|1|\\[|\\]|\\}|\\\\|\n", 0..14),
        open in prop_oneof![Just("{"), Just("[")],
    ) {
        let close = if open == "{" { "}" } else { "]" };
        let text = format!("{open}{}{close}{}", parts.concat(), "x".repeat(UNIT));
        let text = text.as_bytes();
        if let Some(end) = strings_end::<Narrow>(text, 0) {
            prop_assert_eq!(super::super::lex::nested_end::<Narrow, true>(text, 0), Ok(end));
        } else {
            prop_assert!(parts.iter().any(|part| matches!(part.as_str(), "1" | "[" | "]" | "}" | "\\" | "\n")), "declined");
        }
    }

    #[test]
    fn literals(text in proptest::collection::vec(0u8..3, 0..200), at in 0usize..20, len in 0usize..180, flip in any::<Option<usize>>()) {
        let mut literal = text.iter().skip(at).take(len).copied().collect::<Vec<_>>();
        let both = |literal: &[u8]| {
            let narrow = Narrow::continues(&text, at, literal);
            #[cfg(target_arch = "x86_64")]
            assert!(!has_wide() || Wide::continues(&text, at, literal) == narrow);
            narrow
        };
        prop_assert_eq!(both(&literal), at + literal.len() <= text.len());
        if let Some(flip) = flip && !literal.is_empty() {
            let n = literal.len();
            literal[flip % n] ^= 4;
            prop_assert!(!both(&literal));
        }
    }
}
