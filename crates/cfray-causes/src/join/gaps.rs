//! Ascending numbers as the gaps between them.

use cfray_model::varint;

/// Lists of ascending numbers. What is popular is asked for thousands of times, and two or three bytes tell a gap. The bytes of
/// all lists lie in one piece: thousands of pieces that grow leave twice their room behind when they go.
#[derive(Debug, Default)]
pub struct Lists {
    chunks: Vec<Chunk>,
}

/// Gaps of one list, as [`varint`] writes them. Behind the last one: zeros.
type Chunk = [u8; 32];

/// One of the [`Lists`].
#[derive(Debug, Default)]
pub struct Gaps {
    last: u32,
    len: u32,
    /// The number before the first gap of each chunk, and which chunk it is; none as long as there is one number.
    chunks: Vec<(u32, u32)>,
    /// Bytes of the last chunk that are taken.
    taken: u8,
}

impl Lists {
    /// Adds a number to a list that is greater than all before.
    pub fn push(&mut self, list: &mut Gaps, number: u32) {
        // Most lists may well have one number.
        if list.len == 0 {
            (list.last, list.len) = (number, 1);
            return;
        }
        if list.chunks.is_empty() {
            self.begin(list, list.last);
        }
        let (mut bytes, mut len) = ([0u8; 5], 0);
        varint::put(u64::from(number.wrapping_sub(list.last)), |byte| {
            if let Some(to) = bytes.get_mut(len) {
                *to = byte;
            }
            len += 1;
        });
        list.last = number;
        list.len += 1;
        let taken = usize::from(list.taken);
        let open = list.chunks.last().and_then(|(_, chunk)| self.chunks.get_mut(*chunk as usize)?.get_mut(taken..taken + len));
        match open {
            Some(room) => {
                room.iter_mut().zip(bytes).for_each(|(to, byte)| *to = byte);
                list.taken += len as u8;
            }
            None => self.begin(list, number),
        }
    }

    /// A chunk begins with a number itself.
    fn begin(&mut self, list: &mut Gaps, number: u32) {
        list.chunks.push((number, self.chunks.len() as u32));
        self.chunks.push(Chunk::default());
        list.taken = 0;
    }

    /// The numbers of a list that are not below a number.
    pub fn from<'a>(&'a self, list: &'a Gaps, least: usize) -> impl Iterator<Item = u32> + 'a {
        let first = list.chunks.partition_point(|chunk| (chunk.0 as usize) < least).saturating_sub(1);
        let chunks = list.chunks.get(first..).unwrap_or_default();
        let numbers = chunks.iter().flat_map(|(number, chunk)| {
            let mut rest = self.chunks.get(*chunk as usize).map_or(&[][..], |chunk| chunk).iter();
            let next = move |number: &u32| {
                // Numbers ascend: no gap is none.
                let gap = varint::take(|| rest.next().copied()).filter(|gap| *gap != 0)?;
                Some(number.wrapping_add(gap as u32))
            };
            std::iter::successors(Some(*number), next)
        });
        let only = (list.len == 1).then_some(list.last);
        only.into_iter().chain(numbers).skip_while(move |number| (*number as usize) < least)
    }
}

impl Gaps {
    /// How many numbers it has.
    pub const fn len(&self) -> usize {
        self.len as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn come_back_from_anywhere(
            numbers in prop_oneof![
                prop::collection::btree_set(prop_oneof![0..500u32, any::<u32>()], 0..400),
                prop::collection::btree_set(any::<u32>(), 0..3),
            ],
            others in prop::collection::btree_set(0..5000u32, 0..400),
            least in prop_oneof![0..600usize, 0..5_000_000_000usize],
        ) {
            let mut lists = Lists::default();
            let (mut one, mut two) = (Gaps::default(), Gaps::default());
            for i in 0..400 {
                numbers.iter().nth(i).into_iter().for_each(|number| lists.push(&mut one, *number));
                others.iter().nth(i).into_iter().for_each(|number| lists.push(&mut two, *number));
            }
            for (list, numbers) in [(&one, &numbers), (&two, &others)] {
                prop_assert_eq!(list.len(), numbers.len());
                prop_assert!(lists.from(list, 0).eq(numbers.iter().copied()));
                prop_assert!(lists.from(list, least).eq(numbers.iter().copied().filter(|number| *number as usize >= least)));
            }
        }
    }
}
