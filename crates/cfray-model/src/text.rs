//! Text that many hold and nobody changes.
//!
//! In a storm every row is an incident, and most of what rows hold is the same text over and over: hosts, addresses,
//! agents, the names of files, the sentences of evidence. Here a copy is a pointer.

use crate::key;
use serde::{Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;

/// A text that is shared: eight bytes, cloned by counting.
pub type Text = arcstr::ArcStr;

/// Bytes of a log as text, with U+FFFD for what is no UTF-8. Looks at many bytes at once first: nearly all logs are ASCII, over which
/// [`String::from_utf8_lossy`] goes byte by byte.
pub fn lossy(bytes: &[u8]) -> Cow<'_, str> {
    std::str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)
}

/// The texts that were asked for last, so that equal ones are kept once. Forgets: what comes too seldom is made anew,
/// so its size does not depend on what a log holds.
#[derive(Debug, Default)]
pub struct Pool {
    slots: Vec<Option<Text>>,
}

impl Pool {
    /// Texts that it remembers.
    const SLOTS: usize = 1024;

    /// The text, shared with whoever asked for it last.
    pub fn get(&mut self, text: &str) -> Text {
        self.get_lossy(text.as_bytes())
    }

    /// The same of bytes that are UTF-8 as a rule: see [`lossy`]. What is known already is not decoded again.
    pub fn get_lossy(&mut self, bytes: &[u8]) -> Text {
        if bytes.is_empty() {
            return Text::new();
        }
        if self.slots.is_empty() {
            self.slots.resize(Self::SLOTS, None);
        }
        let Some(slot) = self.slots.get_mut(key::bytes_key(bytes) as usize % Self::SLOTS) else { return Text::from(lossy(bytes)) };
        match slot {
            Some(known) if known.as_bytes() == bytes => known.clone(),
            _ => match lossy(bytes) {
                Cow::Borrowed(text) => slot.insert(Text::from(text)).clone(),
                // Found by what it reads as, so that equal ones are one text, too.
                Cow::Owned(text) => self.get(&text),
            },
        }
    }
}

/// `FILE:LINE`, put together when it is shown.
#[derive(Clone, Debug, Default)]
pub struct Place {
    /// Name of the file.
    pub file: Text,
    /// Number of the line; `None` where `file` is the whole text.
    pub line: Option<u64>,
}

impl Place {
    /// A place.
    pub const fn new(file: Text, line: u64) -> Self {
        Self { file, line: Some(line) }
    }
}

crate::shelf::pack_struct!(Place { file, line });

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        self.line.map_or(Ok(()), |line| write!(f, ":{line}"))
    }
}

impl From<String> for Place {
    fn from(text: String) -> Self {
        Self { file: text.into(), line: None }
    }
}

impl Serialize for Place {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// As the texts are ordered, so that `a:10` comes before `a:9`.
impl Ord for Place {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        if (&self.file, self.line) == (&other.file, other.line) {
            return std::cmp::Ordering::Equal;
        }
        self.to_string().cmp(&other.to_string())
    }
}

impl PartialEq for Place {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Place {}

impl PartialOrd for Place {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    #[test]
    fn equal_texts_are_kept_once() {
        let mut pool = Pool::default();
        let (a, b) = (pool.get("shop.example.com"), pool.get("shop.example.com"));
        assert!(Text::ptr_eq(&a, &b) && a == "shop.example.com");
        for n in 0..10_000 {
            assert_eq!(pool.get(&n.to_string()), n.to_string());
        }
        assert_eq!((pool.get("shop.example.com"), pool.get("")), (a, Text::new()));
    }

    proptest! {
        /// Also where they come again, and as text.
        #[test]
        fn any_bytes_become_the_same_text(texts in vec(prop_oneof![any::<Vec<u8>>(), "[a-cé]{0,3}".prop_map(String::into_bytes)], 0..40)) {
            let mut pool = Pool::default();
            for bytes in texts {
                let whole = String::from_utf8_lossy(&bytes);
                prop_assert_eq!(&*lossy(&bytes), &*whole);
                let text = pool.get_lossy(&bytes);
                prop_assert_eq!(&*text, &*whole);
                prop_assert!(Text::ptr_eq(&text, &pool.get_lossy(&bytes)) && Text::ptr_eq(&text, &pool.get(&whole)));
            }
        }
    }

    #[test]
    fn places_are_ordered_as_texts() {
        let place = |file: &str, line| Place::new(file.into(), line);
        let mut places = [place("b", 1), place("a", 9), place("a", 10), Place::from("a:11".to_owned())];
        places.sort();
        assert_eq!(places.map(|p| p.to_string()), ["a:10", "a:11", "a:9", "b:1"]);
    }
}
