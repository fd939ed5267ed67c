//! Records packed away: what a storm leaves is the same over and over, so it takes a tenth of its room compressed.
//!
//! Nothing here touches a disk; what was packed is there until the shelf is dropped.

use crate::text::{Text, lossy};
use crate::{key, varint};
use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt;
use std::marker::PhantomData;
use std::mem;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

/// Writes itself into bytes and comes back from them. What `unpack` reads is what `pack` wrote.
pub trait Pack: Sized {
    /// Appends itself.
    fn pack<'t>(&'t self, out: &mut Packer<'t>);
    /// Reads itself.
    fn unpack(from: &mut Unpack<'_>) -> Self;
}

/// Bytes that records are packed into. A text that lies where one lay before is that one: what rows share is written once.
#[derive(Debug, Default)]
pub struct Packer<'t> {
    bytes: Vec<u8>,
    /// Texts that were written last, by where they lie, with their numbers.
    known: Vec<(&'t str, u64)>,
    /// Texts written so far.
    texts: u64,
}

/// What stands before a text: it is empty, it follows, or it is the one with this number less [`FIRST`].
const EMPTY: u64 = 0;
const FOLLOWS: u64 = 1;
const FIRST: u64 = 2;

impl<'t> Packer<'t> {
    /// Texts that it remembers.
    const SLOTS: usize = 1024;

    fn byte(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub(crate) fn number(&mut self, n: u64) {
        varint::put(n, |byte| self.byte(byte));
    }

    /// One of fewer than 256 words.
    pub(crate) fn word(&mut self, number: usize) {
        self.byte(number as u8);
    }

    fn text(&mut self, text: &'t str) {
        if text.is_empty() {
            return self.number(EMPTY);
        }
        if self.known.is_empty() {
            self.known.resize(Self::SLOTS, ("", 0));
        }
        // All texts live as long as this does, so one place and length is one text.
        let slot = key::spread(text.as_ptr() as u64 >> 3) >> 40;
        let number = self.texts;
        match self.known.get_mut(slot as usize % Self::SLOTS) {
            Some((known, number)) if std::ptr::eq(*known, text) => {
                let number = *number;
                return self.number(FIRST + number);
            }
            Some(known) => *known = (text, number),
            None => {}
        }
        self.texts += 1;
        self.number(FOLLOWS);
        self.number(text.len() as u64);
        self.raw(text.as_bytes());
    }
}

/// Bytes that are read back. Beyond their end everything is zero and empty.
#[derive(Debug)]
pub struct Unpack<'a> {
    rest: &'a [u8],
    /// Texts by number.
    texts: Vec<Text>,
}

impl<'a> Unpack<'a> {
    /// Reads from `bytes`; what was one text is one again.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, texts: Vec::new() }
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

    fn text(&mut self) -> Text {
        match u64::unpack(self) {
            EMPTY => Text::new(),
            FOLLOWS => {
                let len = usize::try_from(u64::unpack(self)).unwrap_or(0);
                let bytes = self.take(len);
                let text = Text::from(lossy(bytes));
                self.texts.push(text.clone());
                text
            }
            number => usize::try_from(number - FIRST).ok().and_then(|n| self.texts.get(n)).cloned().unwrap_or_default(),
        }
    }
}

impl Pack for u64 {
    fn pack<'t>(&'t self, out: &mut Packer<'t>) {
        out.number(*self);
    }

    fn unpack(from: &mut Unpack<'_>) -> Self {
        varint::take(|| Some(from.byte())).unwrap_or_default()
    }
}

/// Small numbers of either sign are short.
impl Pack for i64 {
    fn pack<'t>(&'t self, out: &mut Packer<'t>) {
        out.number(varint::fold(*self));
    }

    fn unpack(from: &mut Unpack<'_>) -> Self {
        varint::unfold(u64::unpack(from))
    }
}

macro_rules! as_u64 {
    ($($kind:ty),*) => { $(
        impl Pack for $kind {
            fn pack<'t>(&'t self, out: &mut Packer<'t>) {
                out.number(u64::from(*self));
            }
            fn unpack(from: &mut Unpack<'_>) -> Self {
                Self::try_from(u64::unpack(from)).unwrap_or_default()
            }
        }
    )* };
}
as_u64!(u8, u16, u32);

impl Pack for bool {
    fn pack<'t>(&'t self, out: &mut Packer<'t>) {
        out.byte(u8::from(*self));
    }
    fn unpack(from: &mut Unpack<'_>) -> Self {
        from.byte() != 0
    }
}

/// As they are.
impl Pack for [u8; 8] {
    fn pack<'t>(&'t self, out: &mut Packer<'t>) {
        out.raw(self);
    }
    fn unpack(from: &mut Unpack<'_>) -> Self {
        from.take(8).try_into().unwrap_or_default()
    }
}

impl Pack for f64 {
    fn pack<'t>(&'t self, out: &mut Packer<'t>) {
        out.raw(&self.to_le_bytes());
    }
    fn unpack(from: &mut Unpack<'_>) -> Self {
        Self::from_le_bytes(Pack::unpack(from))
    }
}

impl Pack for Text {
    fn pack<'t>(&'t self, out: &mut Packer<'t>) {
        out.text(self);
    }
    fn unpack(from: &mut Unpack<'_>) -> Self {
        from.text()
    }
}

impl Pack for Cow<'static, str> {
    fn pack<'t>(&'t self, out: &mut Packer<'t>) {
        out.text(self);
    }
    fn unpack(from: &mut Unpack<'_>) -> Self {
        Cow::Owned(from.text().to_string())
    }
}

impl<T: Pack> Pack for Option<T> {
    fn pack<'t>(&'t self, out: &mut Packer<'t>) {
        out.byte(u8::from(self.is_some()));
        if let Some(value) = self {
            value.pack(out);
        }
    }
    fn unpack(from: &mut Unpack<'_>) -> Self {
        bool::unpack(from).then(|| T::unpack(from))
    }
}

impl<T: Pack> Pack for Vec<T> {
    fn pack<'t>(&'t self, out: &mut Packer<'t>) {
        out.number(self.len() as u64);
        self.iter().for_each(|item| item.pack(out));
    }
    fn unpack(from: &mut Unpack<'_>) -> Self {
        let len = u64::unpack(from);
        (0..len).map(|_| T::unpack(from)).collect()
    }
}

impl<A: Pack, B: Pack> Pack for (A, B) {
    fn pack<'t>(&'t self, out: &mut Packer<'t>) {
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
            fn pack<'t>(&'t self, out: &mut $crate::shelf::Packer<'t>) {
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
            fn pack<'t>(&'t self, out: &mut $crate::shelf::Packer<'t>) {
                out.word($list.iter().position(|known| known == self).unwrap_or(0));
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

thread_local! {
    /// A compressor works in a megabyte of its own, which is kept from block to block.
    static COMPRESSOR: RefCell<Option<zstd::bulk::Compressor<'static>>> = const { RefCell::new(None) };
    static DECOMPRESSOR: RefCell<Option<zstd::bulk::Decompressor<'static>>> = const { RefCell::new(None) };
}

/// Compressing into memory fails only where memory does.
fn compress(raw: &[u8]) -> Option<Vec<u8>> {
    COMPRESSOR.with_borrow_mut(|kept| {
        if kept.is_none() {
            *kept = zstd::bulk::Compressor::new(LEVEL).ok();
        }
        kept.as_mut()?.compress(raw).ok()
    })
}

fn decompress(bytes: &[u8], len: usize) -> Option<Vec<u8>> {
    DECOMPRESSOR.with_borrow_mut(|kept| {
        if kept.is_none() {
            *kept = zstd::bulk::Decompressor::new().ok();
        }
        kept.as_mut()?.decompress(bytes, len).ok()
    })
}

#[derive(Clone, Default)]
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
            *block = Block::default();
        }
    }

    /// A block as it lies there, to be put elsewhere by [`Self::append`]: here its records are gone.
    pub fn take(&mut self, index: usize) -> Self {
        let Some(block) = self.blocks.get_mut(index) else { return Self::default() };
        let block = mem::take(block);
        Self { len: block.rows as usize, blocks: vec![block], starts: vec![0], ..Self::default() }
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
        let mut out = Packer { bytes: Vec::with_capacity(records.len() * 512), ..Packer::default() };
        records.iter().for_each(|record| record.pack(&mut out));
        let raw = out.bytes;
        let bytes = compress(&raw).map_or_else(|| raw.as_slice().into(), Vec::into_boxed_slice);
        let block = Block { rows: records.len() as u32, raw: raw.len() as u32, bytes };
        Self { blocks: vec![block], starts: vec![0], len: records.len(), ..Self::default() }
    }

    /// The records of one block.
    pub fn block(&self, index: usize) -> Vec<T> {
        let mut out = Vec::with_capacity(self.blocks.get(index).map_or(0, |block| block.rows as usize));
        self.unpack(index, 0..usize::MAX, &mut out);
        out
    }

    /// Appends those records of a block that stand in a range.
    fn unpack(&self, index: usize, range: Range<usize>, out: &mut Vec<T>) {
        let Some(block) = self.blocks.get(index) else { return };
        #[cfg(test)]
        self.unpacked.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let raw = decompress(&block.bytes, block.raw as usize).unwrap_or_else(|| block.bytes.to_vec());
        let mut from = Unpack::new(&raw);
        for at in 0..range.end.min(block.rows as usize) {
            let record = T::unpack(&mut from);
            if at >= range.start {
                out.push(record);
            }
        }
    }

    /// The records of a range, as far as there are any.
    pub fn read(&self, range: Range<usize>) -> Vec<T> {
        let range = range.start.min(self.len)..range.end.min(self.len);
        let mut out = Vec::with_capacity(range.len());
        let mut block = self.starts.partition_point(|start| *start <= range.start).saturating_sub(1);
        while let Some(start) = self.starts.get(block).copied().filter(|start| *start < range.end) {
            self.unpack(block, range.start.saturating_sub(start)..range.end - start, &mut out);
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
        let mut out = Packer::default();
        value.pack(&mut out);
        let mut from = Unpack::new(&out.bytes);
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
        let mut from = Unpack::new(&[1, 5, b'a']);
        assert_eq!(Text::unpack(&mut from), "a");
        assert_eq!((u64::unpack(&mut from), bool::unpack(&mut from), f64::unpack(&mut from)), (0, false, 0.0));
    }

    #[test]
    fn what_is_shared_is_written_once_and_shared_again() {
        let (shared, alike) = (Text::from("shop.example.com"), Text::from("shop.example.com"));
        let other: Vec<Text> = (0..5000).map(|n| Text::from(format!("/page/{n}"))).collect();
        let mut out = Packer::default();
        for text in &other {
            shared.pack(&mut out);
            text.pack(&mut out);
        }
        alike.pack(&mut out);
        shared.pack(&mut out);
        assert!(out.bytes.len() < 5000 * 18, "{}", out.bytes.len());
        let mut from = Unpack::new(&out.bytes);
        let (mut copies, mut last) = (0, Text::new());
        for page in &other {
            let text = Text::unpack(&mut from);
            assert_eq!((&text, &Text::unpack(&mut from)), (&shared, page));
            // Now and then another text takes its place in the list of those that are remembered.
            copies += usize::from(!Text::ptr_eq(&last, &text));
            last = text;
        }
        assert!(copies < 50, "{copies}");
        assert_eq!([Text::unpack(&mut from), Text::unpack(&mut from)], [alike.clone(), shared.clone()]);
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
