//! Records packed away: what a storm leaves is the same over and over, so it takes a tenth of its room compressed.
//!
//! Nothing here touches a disk; what was packed is there until the shelf is dropped.

use crate::text::{Pool, Text};
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

/// Writes itself into bytes and comes back from them. What `unpack` reads is what `pack` wrote.
pub trait Pack: Sized {
    /// Appends itself.
    fn pack(&self, out: &mut Vec<u8>);
    /// Reads itself.
    fn unpack(from: &mut Unpack<'_>) -> Self;
}

/// Bytes that are read back. Beyond their end everything is zero and empty.
#[derive(Debug)]
pub struct Unpack<'a> {
    rest: &'a [u8],
    pool: &'a mut Pool,
}

impl<'a> Unpack<'a> {
    /// Reads from `bytes`; equal texts are shared through `pool`.
    pub fn new(bytes: &'a [u8], pool: &'a mut Pool) -> Self {
        Self { rest: bytes, pool }
    }

    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.rest.split_first() else { return 0 };
        self.rest = rest;
        *first
    }

    fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at_checked(len).unwrap_or((self.rest, &[]));
        self.rest = rest;
        taken
    }
}

/// Seven bits a byte, low ones first; small numbers are short.
impl Pack for u64 {
    fn pack(&self, out: &mut Vec<u8>) {
        let mut n = *self;
        while n >= 0x80 {
            out.push(n as u8 | 0x80);
            n >>= 7;
        }
        out.push(n as u8);
    }

    fn unpack(from: &mut Unpack<'_>) -> Self {
        let mut n = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = from.byte();
            n |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        n
    }
}

/// Small numbers of either sign are short.
impl Pack for i64 {
    fn pack(&self, out: &mut Vec<u8>) {
        (((self << 1) ^ (self >> 63)) as u64).pack(out);
    }

    fn unpack(from: &mut Unpack<'_>) -> Self {
        let n = u64::unpack(from);
        ((n >> 1) as i64) ^ -((n & 1) as i64)
    }
}

macro_rules! as_u64 {
    ($($kind:ty),*) => { $(
        impl Pack for $kind {
            fn pack(&self, out: &mut Vec<u8>) {
                u64::from(*self).pack(out);
            }
            fn unpack(from: &mut Unpack<'_>) -> Self {
                Self::try_from(u64::unpack(from)).unwrap_or_default()
            }
        }
    )* };
}
as_u64!(u8, u16, u32);

impl Pack for bool {
    fn pack(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }
    fn unpack(from: &mut Unpack<'_>) -> Self {
        from.byte() != 0
    }
}

/// As they are.
impl Pack for [u8; 8] {
    fn pack(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }
    fn unpack(from: &mut Unpack<'_>) -> Self {
        from.take(8).try_into().unwrap_or_default()
    }
}

impl Pack for f64 {
    fn pack(&self, out: &mut Vec<u8>) {
        self.to_le_bytes().pack(out);
    }
    fn unpack(from: &mut Unpack<'_>) -> Self {
        Self::from_le_bytes(Pack::unpack(from))
    }
}

impl Pack for Text {
    fn pack(&self, out: &mut Vec<u8>) {
        (self.len() as u64).pack(out);
        out.extend_from_slice(self.as_bytes());
    }
    fn unpack(from: &mut Unpack<'_>) -> Self {
        let len = usize::try_from(u64::unpack(from)).unwrap_or(0);
        let bytes = from.take(len);
        from.pool.get(&String::from_utf8_lossy(bytes))
    }
}

impl Pack for Cow<'static, str> {
    fn pack(&self, out: &mut Vec<u8>) {
        Text::from(self.as_ref()).pack(out);
    }
    fn unpack(from: &mut Unpack<'_>) -> Self {
        Cow::Owned(Text::unpack(from).to_string())
    }
}

impl<T: Pack> Pack for Option<T> {
    fn pack(&self, out: &mut Vec<u8>) {
        self.is_some().pack(out);
        if let Some(value) = self {
            value.pack(out);
        }
    }
    fn unpack(from: &mut Unpack<'_>) -> Self {
        bool::unpack(from).then(|| T::unpack(from))
    }
}

impl<T: Pack> Pack for Vec<T> {
    fn pack(&self, out: &mut Vec<u8>) {
        (self.len() as u64).pack(out);
        self.iter().for_each(|item| item.pack(out));
    }
    fn unpack(from: &mut Unpack<'_>) -> Self {
        let len = u64::unpack(from);
        (0..len).map(|_| T::unpack(from)).collect()
    }
}

impl<A: Pack, B: Pack> Pack for (A, B) {
    fn pack(&self, out: &mut Vec<u8>) {
        self.0.pack(out);
        self.1.pack(out);
    }
    fn unpack(from: &mut Unpack<'_>) -> Self {
        (A::unpack(from), B::unpack(from))
    }
}

/// Packs a struct member by member.
macro_rules! pack_struct {
    ($name:ident { $($field:ident),* $(,)? }) => {
        impl $crate::shelf::Pack for $name {
            fn pack(&self, out: &mut Vec<u8>) {
                // Named one by one, so that a new member cannot be forgotten.
                let Self { $($field),* } = self;
                $( $crate::shelf::Pack::pack($field, out); )*
            }
            fn unpack(from: &mut $crate::shelf::Unpack<'_>) -> Self {
                $( let $field = $crate::shelf::Pack::unpack(from); )*
                Self { $($field),* }
            }
        }
    };
}
pub(crate) use pack_struct;

/// Packs a member of a fixed list as its number in it; what is not in the list becomes its first.
macro_rules! pack_listed {
    ($name:ty, $list:expr) => {
        impl $crate::shelf::Pack for $name {
            fn pack(&self, out: &mut Vec<u8>) {
                out.push($list.iter().position(|known| known == self).unwrap_or(0) as u8);
            }
            fn unpack(from: &mut $crate::shelf::Unpack<'_>) -> Self {
                $list.get(usize::from(<u8 as $crate::shelf::Pack>::unpack(from))).copied().unwrap_or($list[0])
            }
        }
    };
}
pub(crate) use pack_listed;

/// Records in one block: enough alike for the compressor to see, few enough to read back for one of them.
pub const BLOCK: usize = 1024;

/// Compressed at the fastest level: what repeats is found all the same.
const LEVEL: i32 = 1;

#[derive(Clone)]
struct Block {
    rows: u32,
    /// Length before compression.
    raw: u32,
    bytes: Box<[u8]>,
}

/// Packed records in the order in which they were put.
pub struct Shelf<T> {
    blocks: Vec<Block>,
    /// Number of records before each block.
    starts: Vec<usize>,
    len: usize,
    /// The block that was read last: whoever asks for single records asks for neighbours.
    last: Mutex<Option<(usize, Vec<T>)>>,
    #[cfg(test)]
    pub(crate) unpacked: std::sync::atomic::AtomicUsize,
    records: PhantomData<T>,
}

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Self {
            blocks: Vec::new(),
            starts: Vec::new(),
            len: 0,
            last: Mutex::default(),
            #[cfg(test)]
            unpacked: Default::default(),
            records: PhantomData,
        }
    }
}

impl<T> Clone for Shelf<T> {
    fn clone(&self) -> Self {
        Self { blocks: self.blocks.clone(), starts: self.starts.clone(), len: self.len, ..Self::default() }
    }
}

impl<T> fmt::Debug for Shelf<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Shelf({} in {} bytes)", self.len, self.bytes())
    }
}

impl<T> Shelf<T> {
    /// Number of records.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Nothing there?
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Memory that the records take.
    pub fn bytes(&self) -> usize {
        self.blocks.iter().map(|b| b.bytes.len()).sum()
    }

    /// Number of blocks.
    pub const fn blocks(&self) -> usize {
        self.blocks.len()
    }

    /// Gives the memory of a block back: its records are gone.
    pub fn discard(&mut self, index: usize) {
        if let Some(block) = self.blocks.get_mut(index) {
            *block = Block { rows: 0, raw: 0, bytes: Box::default() };
        }
    }

    /// Puts what another has behind its own.
    pub fn append(&mut self, other: Self) {
        for (block, start) in other.blocks.into_iter().zip(other.starts) {
            self.starts.push(self.len + start);
            self.blocks.push(block);
        }
        self.len += other.len;
    }
}

impl<T: Pack + Clone> Shelf<T> {
    /// Packs records behind those that are there, in blocks of [`BLOCK`] at most.
    pub fn put(&mut self, records: &[T]) {
        for records in records.chunks(BLOCK) {
            self.append(Self::of(records));
        }
    }

    /// One block of records: what several threads may make side by side, to be put together by [`Self::append`].
    pub fn of(records: &[T]) -> Self {
        let mut raw = Vec::with_capacity(records.len() * 512);
        records.iter().for_each(|record| record.pack(&mut raw));
        // Compressing into memory fails only where memory does.
        let bytes = zstd::bulk::compress(&raw, LEVEL).map_or_else(|_| raw.clone().into(), Vec::into_boxed_slice);
        let block = Block { rows: records.len() as u32, raw: raw.len() as u32, bytes };
        Self { blocks: vec![block], starts: vec![0], len: records.len(), ..Self::default() }
    }

    /// The records of one block.
    pub fn block(&self, index: usize) -> Vec<T> {
        let Some(block) = self.blocks.get(index) else { return Vec::new() };
        #[cfg(test)]
        self.unpacked.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let raw = zstd::bulk::decompress(&block.bytes, block.raw as usize).unwrap_or_else(|_| block.bytes.to_vec());
        let mut pool = Pool::default();
        let mut from = Unpack::new(&raw, &mut pool);
        (0..block.rows).map(|_| T::unpack(&mut from)).collect()
    }

    /// The records of a range, as far as there are any.
    pub fn read(&self, range: Range<usize>) -> Vec<T> {
        let range = range.start.min(self.len)..range.end.min(self.len);
        let mut out = Vec::with_capacity(range.len());
        let mut block = self.starts.partition_point(|start| *start <= range.start).saturating_sub(1);
        while let Some(start) = self.starts.get(block).copied().filter(|start| *start < range.end) {
            let records = self.block(block);
            let (from, to) = (range.start.saturating_sub(start), (range.end - start).min(records.len()));
            out.extend(records.into_iter().take(to).skip(from));
            block += 1;
        }
        out
    }

    /// One record.
    pub fn get(&self, index: usize) -> Option<T> {
        if index >= self.len {
            return None;
        }
        let block = self.starts.partition_point(|start| *start <= index).saturating_sub(1);
        let within = index - self.starts.get(block)?;
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.as_ref().is_none_or(|(held, _)| *held != block) {
            *last = Some((block, self.block(block)));
        }
        last.as_ref()?.1.get(within).cloned()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn same<T: Pack + PartialEq + fmt::Debug>(value: T) {
        let mut bytes = Vec::new();
        value.pack(&mut bytes);
        let mut pool = Pool::default();
        let mut from = Unpack::new(&bytes, &mut pool);
        assert_eq!(T::unpack(&mut from), value);
        assert!(from.rest.is_empty());
    }

    #[test]
    fn what_is_packed_comes_back() {
        [0, 1, 127, 128, u64::MAX].into_iter().for_each(same);
        [0, -1, 63, -64, i64::MIN, i64::MAX].into_iter().for_each(same);
        [0.0, -1.5, f64::MAX].into_iter().for_each(same);
        same(vec![Some(Text::from("päge")), None, Some(Text::new())]);
        same((u16::MAX, true));
    }

    #[test]
    fn beyond_the_end_is_nothing() {
        let mut pool = Pool::default();
        let mut from = Unpack::new(&[5, b'a'], &mut pool);
        assert_eq!(Text::unpack(&mut from), "a");
        assert_eq!((u64::unpack(&mut from), bool::unpack(&mut from), f64::unpack(&mut from)), (0, false, 0.0));
    }

    #[test]
    fn shelves_keep_their_order() {
        let texts: Vec<Text> = (0..5000).map(|n| Text::from(format!("/page/{n}"))).collect();
        let (mut shelf, mut more) = (Shelf::default(), Shelf::default());
        shelf.put(&texts[..1500]);
        more.put(&texts[1500..]);
        shelf.append(more);
        assert_eq!((shelf.len(), shelf.read(0..usize::MAX)), (5000, texts.clone()));
        assert_eq!(shelf.read(1020..1501), texts[1020..1501]);
        assert_eq!(shelf.read(4999..6000), texts[4999..]);
        assert!(shelf.read(5000..5001).is_empty() && shelf.read(7..7).is_empty());
        assert_eq!([0, 1499, 1500, 4999, 5000].map(|n| shelf.get(n)), [0, 1499, 1500, 4999, 5000].map(|n| texts.get(n).cloned()));
        assert!(shelf.bytes() < 5000 * 6, "{shelf:?}");
    }
}
