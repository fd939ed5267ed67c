//! The text of a kept line, and its time and numbers in little room.
//!
//! A large job keeps hundreds of thousands of lines, and most of them only count: what they say is shown of a few.

use crate::text::Text;
use crate::time::LogTime;
use std::cell::RefCell;
use std::fmt;
use std::mem;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// A number that a line may lack, in eight bytes. The largest of all counts as none.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Num(u64);

impl Num {
    /// No number.
    pub const NONE: Self = Self(u64::MAX);

    /// The number, if the line has one.
    pub const fn get(self) -> Option<u64> {
        if self.0 == u64::MAX { None } else { Some(self.0) }
    }
}

impl Default for Num {
    fn default() -> Self {
        Self::NONE
    }
}

impl From<Option<u64>> for Num {
    fn from(number: Option<u64>) -> Self {
        number.map_or(Self::NONE, Self)
    }
}

impl fmt::Debug for Num {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}

/// A [`LogTime`] that a line may lack, in half of its room.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Stated {
    civil_ns: i64,
    /// `i32::MIN`: none written.
    offset_s: i32,
    /// Width of a tick, with [`Self::MICROS`] and [`Self::YEARLESS`]; all ones: no time.
    tick: u32,
}

impl Stated {
    /// No time.
    pub const NONE: Self = Self { civil_ns: 0, offset_s: 0, tick: u32::MAX };
    /// The tick is told in microseconds: those of a second and less are told in nanoseconds.
    const MICROS: u32 = 1 << 31;
    const YEARLESS: u32 = 1 << 30;
    const WIDTH: u32 = Self::YEARLESS - 1;

    /// The time, if the line has one.
    pub fn get(self) -> Option<LogTime> {
        if self.tick == u32::MAX {
            return None;
        }
        Some(LogTime {
            civil_ns: self.civil_ns,
            offset_s: (self.offset_s != i32::MIN).then_some(self.offset_s),
            precision_ns: i64::from(self.tick & Self::WIDTH) * if self.tick & Self::MICROS == 0 { 1 } else { 1000 },
            yearless: self.tick & Self::YEARLESS != 0,
        })
    }
}

impl From<Option<LogTime>> for Stated {
    fn from(time: Option<LogTime>) -> Self {
        let Some(time) = time else { return Self::NONE };
        let most = i64::from(Self::WIDTH);
        // Ticks of more than a second are whole seconds, and none is longer than minutes.
        let (width, micros) = if time.precision_ns <= most { (time.precision_ns, 0) } else { (time.precision_ns / 1000, Self::MICROS) };
        // One less than all bits, so that it is not taken for no time.
        let width = width.clamp(0, most - 1) as u32;
        let yearless = if time.yearless { Self::YEARLESS } else { 0 };
        Self { civil_ns: time.civil_ns, offset_s: time.offset_s.unwrap_or(i32::MIN), tick: width | micros | yearless }
    }
}

impl fmt::Debug for Stated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}

/// The text of a record.
#[derive(Clone)]
pub enum RecordText {
    /// As it is: what evidence may quote.
    Plain(Text),
    /// On a [`TextShelf`].
    Shelved {
        /// Where it lies.
        block: Arc<Block>,
        /// Its first byte in the block.
        from: u16,
        /// Its length in bytes.
        len: u16,
    },
}

impl RecordText {
    /// The text.
    pub fn get(&self) -> Text {
        match self {
            Self::Plain(text) => text.clone(),
            Self::Shelved { block, from, len } => block.text(usize::from(*from), usize::from(*len)),
        }
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        match self {
            Self::Plain(text) => text.len(),
            Self::Shelved { len, .. } => usize::from(*len),
        }
    }

    /// Nothing in it?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Cuts it to the longest beginning of at most `max` bytes that ends between characters. Where texts are cut memory is short: one
    /// from a shelf leaves it, so that it does not hold its neighbours.
    pub fn cut(&mut self, max: usize) {
        if matches!(self, Self::Shelved { .. }) {
            *self = Self::Plain(self.get());
        }
        match self {
            Self::Plain(text) if text.len() > max => {
                let end = text.floor_char_boundary(max);
                *text = text.get(..end).unwrap_or_default().into();
            }
            _ => {}
        }
    }
}

impl Default for RecordText {
    fn default() -> Self {
        Self::Plain(Text::new())
    }
}

impl From<&str> for RecordText {
    fn from(text: &str) -> Self {
        Self::Plain(text.into())
    }
}

impl From<String> for RecordText {
    fn from(text: String) -> Self {
        Self::Plain(text.into())
    }
}

impl PartialEq for RecordText {
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

impl Eq for RecordText {}

impl fmt::Debug for RecordText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}

/// Texts that lie together. Gone with the last of them.
#[derive(Debug)]
pub struct Block(Mutex<State>);

#[derive(Debug)]
enum State {
    Plain(Vec<u8>),
    Packed { raw: usize, bytes: Box<[u8]> },
}

/// A block and what is in it.
type Unpacked = (Arc<Block>, Rc<[u8]>);

thread_local! {
    /// The blocks that were unpacked last: whoever asks for one text asks for its neighbours, and two workers read a file.
    static LAST: RefCell<[Option<Unpacked>; 4]> = const { RefCell::new([const { None }; 4]) };
}

impl Block {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn text(self: &Arc<Self>, from: usize, len: usize) -> Text {
        let text = |bytes: &[u8]| {
            // Whole texts: what is no UTF-8 would be a fault of the packing, and ends the text.
            let bytes = bytes.get(from..from + len).unwrap_or_default();
            Text::from(match std::str::from_utf8(bytes) {
                Ok(text) => text,
                Err(error) => std::str::from_utf8(bytes.get(..error.valid_up_to()).unwrap_or_default()).unwrap_or_default(),
            })
        };
        let known =
            LAST.with_borrow(|last| last.iter().flatten().find(|(block, _)| Arc::ptr_eq(block, self)).map(|(_, raw)| Rc::clone(raw)));
        if let Some(raw) = known {
            return text(&raw);
        }
        let raw: Rc<[u8]> = match &*self.state() {
            State::Plain(bytes) => return text(bytes),
            State::Packed { raw, bytes } => zstd::bulk::decompress(bytes, *raw).unwrap_or_default().into(),
        };
        LAST.with_borrow_mut(|last| {
            last.rotate_right(1);
            last[0] = Some((Arc::clone(self), Rc::clone(&raw)));
        });
        text(&raw)
    }
}

/// Puts texts that are hardly ever asked for where they take little room: many to a block, and once there are so many that it
/// counts, compressed.
#[derive(Default)]
pub struct TextShelf {
    open: Option<Arc<Block>>,
    texts: usize,
    /// Full blocks that are not compressed, as long as they are few; without keeping those whose texts are gone.
    plain: Vec<Weak<Block>>,
    /// Compresses, once there is enough.
    packer: Option<zstd::bulk::Compressor<'static>>,
}

impl TextShelf {
    /// Texts in one block, and bytes: enough alike for the compressor to see, few enough to read back for one of them.
    const TEXTS: usize = 64;
    const BYTES: usize = 24 << 10;
    /// Blocks that stay as they are, up to 4.5 MB: compressing what is no more than that costs more than it gives.
    const FEW: usize = if cfg!(test) { 4 } else { 192 };
    /// What repeats is found at the fastest level, too.
    const LEVEL: i32 = 1;

    /// The text, on the shelf.
    pub fn put(&mut self, text: &str) -> RecordText {
        if text.len() > Self::BYTES {
            return text.into();
        }
        let block = self.open.get_or_insert_with(|| Arc::new(Block(Mutex::new(State::Plain(Vec::with_capacity(Self::BYTES))))));
        let mut state = block.state();
        let State::Plain(bytes) = &mut *state else { return text.into() };
        let (from, len) = (bytes.len() as u16, text.len() as u16);
        bytes.extend_from_slice(text.as_bytes());
        let full = bytes.len() >= Self::BYTES;
        drop(state);
        let text = RecordText::Shelved { block: Arc::clone(block), from, len };
        self.texts += 1;
        if full || self.texts >= Self::TEXTS {
            self.seal();
        }
        text
    }

    /// Closes the open block.
    fn seal(&mut self) {
        self.texts = 0;
        let Some(block) = self.open.take() else { return };
        if self.packer.is_none() {
            if let State::Plain(bytes) = &mut *block.state() {
                bytes.shrink_to_fit();
            }
            self.plain.push(Arc::downgrade(&block));
            if self.plain.len() > Self::FEW {
                self.packer = zstd::bulk::Compressor::new(Self::LEVEL).ok();
                mem::take(&mut self.plain).iter().filter_map(Weak::upgrade).for_each(|block| self.pack(&block));
            }
            return;
        }
        self.pack(&block);
    }

    fn pack(&mut self, block: &Block) {
        let mut state = block.state();
        let State::Plain(raw) = &*state else { return };
        // Compressing into memory fails only where memory does: then it stays as it is.
        if let Some(Ok(bytes)) = self.packer.as_mut().map(|packer| packer.compress(raw)) {
            *state = State::Packed { raw: raw.len(), bytes: bytes.into() };
        }
    }
}

impl Drop for TextShelf {
    fn drop(&mut self) {
        self.seal();
    }
}

impl fmt::Debug for TextShelf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TextShelf({} plain blocks)", self.plain.len())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::time::{MINUTE, SECOND};
    use proptest::prelude::*;

    #[test]
    fn they_are_small() {
        assert_eq!((mem::size_of::<Num>(), mem::size_of::<Stated>(), mem::size_of::<RecordText>()), (8, 16, 16));
    }

    #[test]
    fn numbers_come_back() {
        for number in [None, Some(0), Some(7), Some(u64::MAX - 1)] {
            assert_eq!(Num::from(number).get(), number);
        }
        // No number rather than a wrong one.
        assert_eq!(Num::from(Some(u64::MAX)).get(), None);
        assert_eq!(Num::default().get(), None);
    }

    proptest! {
        #[test]
        fn times_come_back(civil_ns: i64, offset_s in prop::option::of(-400_000..400_000i32), yearless: bool, tick in 0..13usize) {
            let ticks = [0, 1, 10, 100, 1000, 10_000, 100_000, 1_000_000, SECOND / 100, SECOND / 10, SECOND, MINUTE, 10 * MINUTE];
            let time = LogTime { civil_ns, offset_s, precision_ns: ticks[tick], yearless };
            prop_assert_eq!(Stated::from(Some(time)).get(), Some(time));
            prop_assert_eq!(Stated::from(None).get(), None);
        }

        /// Whatever is put and however it is cut: a shelved text says what a plain one does, before and after it is packed.
        #[test]
        fn texts_come_back(texts in prop::collection::vec("[aé€😀]{0,40}", 0..400), cut in 0..120usize, times in 1..20usize) {
            let mut shelf = TextShelf::default();
            let mut kept = Vec::new();
            for text in texts.iter().cycle().take(texts.len() * times) {
                let mut plain = RecordText::from(text.as_str());
                let mut shelved = shelf.put(text);
                prop_assert!(plain == shelved);
                if kept.len() % 3 == 0 {
                    plain.cut(cut);
                    shelved.cut(cut);
                    prop_assert!(plain == shelved && shelved.len() <= cut.max(plain.len()));
                }
                kept.push((plain, shelved));
            }
            drop(shelf);
            for (plain, shelved) in kept.iter().rev() {
                prop_assert_eq!(plain.get(), shelved.get());
            }
        }
    }

    /// Many texts take a fraction of their room, few stay as they are, and a block goes with the last text in it.
    #[test]
    fn many_are_packed_and_those_that_go_leave_nothing() {
        let line = |n: usize| format!("{n} GET /product/{n} HTTP/1.1 Mozilla/5.0 (Windows NT 10.0; Win64; x64) Gecko/20100101");
        let mut shelf = TextShelf::default();
        let texts: Vec<RecordText> = (0..20_000).map(|n| shelf.put(&line(n))).collect();
        drop(shelf);
        let RecordText::Shelved { block, .. } = &texts[0] else { panic!("a text is on the shelf") };
        assert!(matches!(&*block.state(), State::Packed { raw, bytes } if *raw > 64 * 80 && bytes.len() < raw / 4));
        let weak = Arc::downgrade(block);
        assert!(texts.iter().enumerate().all(|(n, text)| text.get() == line(n)));
        // Reading others makes the last blocks forgotten.
        drop(texts.into_iter().rev().collect::<Vec<_>>());
        LAST.take();
        assert_eq!(weak.strong_count(), 0);
        let mut shelf = TextShelf::default();
        let one = shelf.put("one");
        drop(shelf);
        assert!(
            matches!(&one, RecordText::Shelved { block, .. } if matches!(&*block.state(), State::Plain(b) if b == b"one" && b.capacity() == 3))
        );
    }
}
