//! The incident index as the origin pass asks it: once or twice a line, and nearly always in vain.

use cfray_model::key::spread;
use cfray_model::{IncidentIndex, LogTime, SourceId};

/// What the index wants, behind a bitmap that answers most questions with one look at memory.
#[derive(Debug)]
pub struct Wanted<'a> {
    index: &'a IncidentIndex,
    rays: Bits,
    requests: Bits,
    /// Lines without a ray may be wanted for their request.
    pub ask_requests: bool,
}

impl<'a> Wanted<'a> {
    /// Builds the bitmaps.
    pub fn new(index: &'a IncidentIndex) -> Self {
        Self {
            rays: Bits::of(index.rays.len(), index.rays.iter().copied()),
            requests: Bits::of(index.requests.len(), index.requests.iter().map(|r| u64::from(*r))),
            ask_requests: !index.requests.is_empty() && !index.only_rays,
            index,
        }
    }

    /// Lines are kept to measure clocks with, and for nothing else.
    pub fn measures(&self) -> bool {
        self.index.time.as_ref().is_some_and(|slice| slice.requests.is_none())
    }

    /// Can a line of this source and time matter, if it is not wanted?
    pub fn in_time(&self, source: SourceId, time: Option<LogTime>, names_request: impl FnOnce() -> bool) -> bool {
        self.index.time.as_ref().is_none_or(|slice| slice.may_matter(source, time, names_request()))
    }

    /// Does a line that is not wanted for its ray belong to the incident of another slice? `request`: see
    /// [`cfray_model::key::request_key`]; it is asked for where the line has no ray.
    pub fn others(&self, ray: Option<u64>, request: impl FnOnce() -> u64) -> bool {
        // In a storm most lines are some incident's: a bitmap before these would seldom say no.
        let Some(keys) = &self.index.everybody else { return false };
        match ray {
            Some(ray) => keys.rays.contains(&ray),
            None => self.ask_requests && keys.requests.contains(&(request() as u32)),
        }
    }

    /// Is the ray that of an incident, or of a row that was chosen to measure by?
    pub fn ray(&self, ray: u64) -> bool {
        self.rays.may_hold(ray) && self.index.rays.contains(&ray)
    }

    /// Is the ray that of a row which is no incident?
    pub fn chosen(&self, ray: u64) -> bool {
        self.index.chosen.contains(&ray)
    }

    /// Likewise the request, of a line without a ray.
    pub fn request(&self, request: u64) -> bool {
        self.ask_requests && request != 0 && self.requests.may_hold(request & u64::from(u32::MAX)) && self.index.wants(0, request)
    }

    /// A choice of ordinary answers is kept.
    pub fn answers(&self) -> bool {
        self.index.answers
    }

    /// Only lines with a wanted ray count.
    pub fn only_rays(&self) -> bool {
        self.index.only_rays
    }
}

/// One bit a key, 16 to 32 times as many bits as keys.
#[derive(Debug)]
struct Bits {
    words: Vec<u64>,
    /// By how much a hash is shifted to become a bit's number.
    shift: u32,
}

impl Bits {
    fn of(len: usize, keys: impl Iterator<Item = u64>) -> Self {
        let log = (len.max(4) * 16).next_power_of_two().ilog2();
        let mut bits = Self { words: vec![0; 1 << (log - 6)], shift: u64::BITS - log };
        for key in keys {
            let (word, bit) = bits.place(key);
            if let Some(word) = bits.words.get_mut(word) {
                *word |= bit;
            }
        }
        bits
    }

    fn place(&self, key: u64) -> (usize, u64) {
        // Rays and keys differ in any of their bits.
        let at = spread(key) >> self.shift;
        ((at >> 6) as usize, 1 << (at & 63))
    }

    fn may_hold(&self, key: u64) -> bool {
        let (word, bit) = self.place(key);
        self.words.get(word).is_some_and(|w| w & bit != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cfray_model::IncidentKeys;
    use std::sync::Arc;

    #[test]
    fn says_what_the_index_says() {
        let mut index = IncidentIndex::default();
        assert!(!Wanted::new(&index).ray(7) && !Wanted::new(&index).request(7));
        index.rays = (0..5000u64).map(|i| i.wrapping_mul(0x2545_f491_4f6c_dd1d)).collect();
        index.requests = (0..5000u32).map(|i| i.wrapping_mul(0x9e37_79b1)).collect();
        let wanted = Wanted::new(&index);
        assert!(index.rays.iter().all(|r| wanted.ray(*r)));
        assert!(index.requests.iter().filter(|r| **r != 0).all(|r| wanted.request(u64::from(*r) | 3 << 40)));
        assert_eq!((0..100_000u64).filter(|k| wanted.ray(*k)).count(), (0..100_000).filter(|k| index.rays.contains(k)).count());
        assert!(!wanted.others(Some(7), || 0));
        index.everybody =
            Some(Arc::new(IncidentKeys { rays: [7, 9, u64::MAX].into_iter().collect(), requests: [3, 5].into_iter().collect() }));
        let wanted = Wanted::new(&index);
        assert!(wanted.others(Some(9), || 3) && wanted.others(None, || 3 << 40 | 5));
        assert!(!wanted.others(Some(8), || 3) && !wanted.others(None, || 4) && !wanted.others(None, || 0));
        index.only_rays = true;
        assert!(!Wanted::new(&index).request(0x9e37_79b1));
    }
}
