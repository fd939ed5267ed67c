//! The lines of each request, in little room.

/// For each fact its events, in event order. A list of the facts, cut where their numbers pass a power of two, stands in for a map.
#[derive(Debug, Default)]
pub struct OfFact {
    /// Facts with events, ascending.
    facts: Vec<u32>,
    /// Where the events of each of them begin, and where the last ones end.
    starts: Vec<u32>,
    events: Vec<u32>,
    /// By the upper bits of a fact's number: how many of the list come before.
    before: Vec<u32>,
    /// Its other bits.
    shift: u32,
}

impl OfFact {
    /// From the facts that events belong to, in event order.
    pub fn of(owners: impl Iterator<Item = Option<u32>>) -> Self {
        let mut pairs: Vec<(u32, u32)> = owners.zip(0u32..).filter_map(|(fact, event)| Some((fact?, event))).collect();
        pairs.sort_unstable();
        let mut new = Self { events: pairs.iter().map(|pair| pair.1).collect(), ..Self::default() };
        for (at, (fact, _)) in (0u32..).zip(&pairs) {
            if new.facts.last() != Some(fact) {
                new.facts.push(*fact);
                new.starts.push(at);
            }
        }
        new.starts.push(new.events.len() as u32);
        new.facts.shrink_to_fit();
        new.starts.shrink_to_fit();
        // About as many parts as facts.
        let last = new.facts.last().copied().unwrap_or(0);
        while (last >> new.shift) as usize > new.facts.len() {
            new.shift += 1;
        }
        new.before = vec![0; (last >> new.shift) as usize + 2];
        for fact in &new.facts {
            if let Some(count) = new.before.get_mut((fact >> new.shift) as usize + 1) {
                *count += 1;
            }
        }
        let mut sum = 0;
        for count in &mut new.before {
            sum += *count;
            *count = sum;
        }
        new
    }

    /// The events of a fact, if it has any.
    pub fn get(&self, fact: &u32) -> Option<&[u32]> {
        let part = (fact >> self.shift) as usize;
        let (from, to) = (*self.before.get(part)? as usize, *self.before.get(part + 1)? as usize);
        let index = from + self.facts.get(from..to)?.binary_search(fact).ok()?;
        self.list(index)
    }

    fn list(&self, index: usize) -> Option<&[u32]> {
        self.events.get(*self.starts.get(index)? as usize..*self.starts.get(index + 1)? as usize)
    }

    /// Has the fact any?
    pub fn contains_key(&self, fact: &u32) -> bool {
        self.get(fact).is_some()
    }

    /// Facts that have events, ascending.
    pub fn keys(&self) -> impl Iterator<Item = &u32> {
        self.facts.iter()
    }

    /// The same with their events.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &[u32])> {
        self.facts.iter().enumerate().map(|(index, fact)| (*fact, self.list(index).unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn finds_what_a_map_finds(
            owners in prop::collection::vec(prop::option::of(prop_oneof![0..40u32, 0..100_000u32, u32::MAX - 9..=u32::MAX]), 0..200),
            asked in prop::collection::vec(prop_oneof![0..50u32, any::<u32>()], 20),
        ) {
            let mut map: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
            for (owner, event) in owners.iter().zip(0u32..) {
                if let Some(fact) = owner {
                    map.entry(*fact).or_default().push(event);
                }
            }
            let of_fact = OfFact::of(owners.into_iter());
            prop_assert!(of_fact.iter().map(|(fact, list)| (fact, list.to_vec())).eq(map.clone()));
            prop_assert!(of_fact.keys().eq(map.keys()));
            for fact in asked.iter().chain(map.keys()) {
                prop_assert_eq!(of_fact.get(fact), map.get(fact).map(Vec::as_slice));
                prop_assert_eq!(of_fact.contains_key(fact), map.contains_key(fact));
            }
        }
    }

    #[test]
    fn nothing_owns_nothing() {
        assert_eq!((OfFact::default().get(&0), OfFact::of(std::iter::empty()).get(&0)), (None, None));
    }
}
