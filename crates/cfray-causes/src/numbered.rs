//! Numbers in place of names: what is compared a million times is named once.

use std::collections::BTreeMap;

/// Keys in the order in which they were given, as numbers, and the number of each; equal keys have one. `None` has none.
pub fn numbered<K: Ord>(keys: impl Iterator<Item = Option<K>>) -> (Vec<Option<usize>>, BTreeMap<K, usize>) {
    let mut numbers = BTreeMap::new();
    let of_each = keys.map(|key| {
        let next = numbers.len();
        key.map(|key| *numbers.entry(key).or_insert(next))
    });
    (of_each.collect(), numbers)
}

#[cfg(test)]
mod tests {
    use super::numbered;

    #[test]
    fn equal_keys_have_one_number() {
        let (of_each, numbers) = numbered([Some("b"), None, Some("a"), Some("b"), Some("c")].into_iter());
        assert_eq!(of_each, [Some(0), None, Some(1), Some(0), Some(2)]);
        assert_eq!(numbers.into_iter().collect::<Vec<_>>(), [("a", 1), ("b", 0), ("c", 2)]);
    }
}
