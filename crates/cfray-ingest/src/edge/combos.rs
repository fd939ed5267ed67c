//! Numbers for the combinations of host, method, colo and addresses that rows name, without putting a row's texts together: each text
//! gets a number, and five numbers are what is looked up.

use cfray_model::Combo;
use cfray_model::key::spread;
use std::collections::HashMap;
use std::sync::Arc;

/// Combinations that are found without the map; a power of two.
const RECENT: usize = 1 << 11;
/// Texts of one kind that are found without the map; a power of two.
const RECENT_TEXTS: usize = 1 << 8;

/// The combinations seen, each with its number.
#[derive(Debug)]
pub(crate) struct Combos {
    /// Host, method, colo, edge address, origin address.
    texts: [Texts; 5],
    ids: HashMap<[u32; 5], u32>,
    /// Seen of late, by a mixture of their numbers.
    recent: Vec<([u32; 5], u32)>,
}

impl Default for Combos {
    fn default() -> Self {
        Self { texts: Default::default(), ids: HashMap::new(), recent: vec![([u32::MAX; 5], 0); RECENT] }
    }
}

impl Combos {
    /// The number of host, method, colo, edge address and origin address; a new combination is put behind `all`.
    pub fn id(&mut self, pieces: [&[u8]; 5], all: &mut Vec<Combo>) -> u32 {
        let ([a, b, c, d, e], [host, method, colo, edge_ip, origin_ip]) = (&mut self.texts, pieces);
        let key = [a.id(host), b.id(method), c.id(colo), d.id(edge_ip), e.id(origin_ip)];
        let mixed = key.iter().fold(0u64, |mixed, id| spread(mixed ^ u64::from(*id)));
        let Some(recent) = self.recent.get_mut((mixed >> 32) as usize % RECENT) else { return 0 };
        if recent.0 != key {
            let id = *self.ids.entry(key).or_insert_with(|| {
                let [host, method, colo, edge_ip, origin_ip] = pieces.map(|piece| String::from_utf8_lossy(piece).into_owned());
                all.push(Combo { host: host.to_ascii_lowercase(), method, colo, edge_ip, origin_ip });
                all.len() as u32 - 1
            });
            *recent = (key, id);
        }
        recent.1
    }
}

/// Different texts, each with its number.
#[derive(Debug)]
struct Texts {
    texts: Vec<Arc<[u8]>>,
    ids: HashMap<Arc<[u8]>, u32>,
    last: u32,
    recent: Vec<u32>,
}

impl Default for Texts {
    fn default() -> Self {
        Self { texts: Vec::new(), ids: HashMap::new(), last: 0, recent: vec![u32::MAX; RECENT_TEXTS] }
    }
}

impl Texts {
    #[inline]
    fn id(&mut self, text: &[u8]) -> u32 {
        let is = |texts: &[Arc<[u8]>], id: u32| texts.get(id as usize).is_some_and(|known| same(known, text));
        if !is(&self.texts, self.last) {
            let Some(recent) = self.recent.get_mut(mix(text) % RECENT_TEXTS) else { return 0 };
            if !is(&self.texts, *recent) {
                *recent = match self.ids.get(text) {
                    Some(id) => *id,
                    None => {
                        let (id, text) = (self.texts.len() as u32, Arc::<[u8]>::from(text));
                        self.texts.push(Arc::clone(&text));
                        self.ids.insert(text, id);
                        id
                    }
                };
            }
            self.last = *recent;
        }
        self.last
    }
}

/// Are two texts equal? Short ones, as these are, without a call.
#[inline]
fn same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() || a.len() > 16 {
        return a == b;
    }
    ends(a) == ends(b)
}

/// The first and last eight bytes of a text, which may be the same ones: with its length, a text of at most 16.
#[inline]
fn ends(text: &[u8]) -> (u64, u64) {
    match (text.first_chunk::<8>(), text.last_chunk::<8>()) {
        (Some(first), Some(last)) => (u64::from_le_bytes(*first), u64::from_le_bytes(*last)),
        _ => match (text.first_chunk::<4>(), text.last_chunk::<4>()) {
            (Some(first), Some(last)) => (u32::from_le_bytes(*first).into(), u32::from_le_bytes(*last).into()),
            // At most three.
            _ => {
                let at = |i: usize| text.get(i).copied().map_or(0, u64::from);
                (at(0) << 16 | at(1) << 8 | at(2), 0)
            }
        },
    }
}

/// Spreads texts over a small table.
#[inline]
fn mix(text: &[u8]) -> usize {
    let (first, last) = ends(text);
    (spread(first ^ last.rotate_left(29) ^ text.len() as u64) >> 40) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Every combination has one number, whatever came in between, and its number says it.
        #[test]
        fn one_number_for_each(rows in proptest::collection::vec(proptest::collection::vec("[a-cA-C.0-9é]{0,20}|[ab]", 5), 1..60)) {
            let (mut combos, mut all) = (Combos::default(), Vec::new());
            let mut given: HashMap<Vec<String>, u32> = HashMap::new();
            for row in rows.iter().chain(&rows) {
                let pieces = [0, 1, 2, 3, 4].map(|i| row.get(i).map_or(&b""[..], |text| text.as_bytes()));
                let id = combos.id(pieces, &mut all);
                prop_assert_eq!(*given.entry(row.clone()).or_insert(id), id);
                let combo = &all[id as usize];
                let said = [combo.host.clone(), combo.method.clone(), combo.colo.clone(), combo.edge_ip.clone(), combo.origin_ip.clone()];
                let mut row = row.clone();
                row[0].make_ascii_lowercase();
                prop_assert_eq!(&said[..], &row[..]);
            }
            prop_assert_eq!(all.len(), given.len());
        }

        #[test]
        fn texts_are_compared_whole(a in "[ab]{0,24}", b in "[ab]{0,24}") {
            prop_assert_eq!(same(a.as_bytes(), b.as_bytes()), a == b);
            prop_assert!(same(a.as_bytes(), a.clone().as_bytes()));
        }
    }
}
