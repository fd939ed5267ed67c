//! Facts outside of memory: sorted pages in a temporary file while rows are read, and the finished facts, mapped.
//!
//! Both files are deleted the moment they are made (`tempfile`), so nothing is left behind however the
//! run ends. What cannot be written stays in memory, and the scan says so.

use super::part::{Kept, Order};
use cfray_model::varint::{self, fold, unfold};
use cfray_model::{Fact, FactFlags, FactStore};
use memmap2::Mmap;
use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Facts in one block: what is read back at a time.
const BLOCK: usize = 1 << 10;

/// Where facts go when they are too many, shared by the scanners of all threads.
#[derive(Debug)]
pub(crate) struct Spill {
    /// Bytes of finished facts that may stay in memory.
    limit: usize,
    /// Bytes of pages that may; less, since both are there while one becomes the other.
    pages: usize,
    dir: PathBuf,
    held: AtomicUsize,
    file: Mutex<Place>,
    /// Incidents that are analysed at once.
    pub incidents_at_once: usize,
    /// Incidents that all scanners have found.
    incidents: AtomicUsize,
}

#[derive(Debug, Default)]
enum Place {
    #[default]
    NotNeeded,
    Open(Arc<Mutex<File>>, u64),
    /// Could not be written: everything stays in memory.
    Failed(String),
}

/// A sorted page in the file.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    file: Arc<Mutex<File>>,
    at: u64,
    /// Bytes of each block.
    blocks: Vec<u32>,
    /// Order of its first fact.
    pub first: Order,
    /// Facts in it.
    pub rows: usize,
    /// What its ids of combos and classes mean by now.
    pub combo_base: u32,
    pub classes: Option<Arc<Vec<u32>>>,
}

impl Spill {
    /// Keeps `limit` bytes in memory, the rest in `dir` (the system's directory for temporary files when not given).
    pub fn new(limit: usize, dir: Option<PathBuf>, incidents_at_once: usize) -> Self {
        Self {
            limit,
            pages: limit / 4 * 3,
            dir: dir.unwrap_or_else(std::env::temp_dir),
            held: AtomicUsize::new(0),
            file: Mutex::default(),
            incidents_at_once,
            incidents: AtomicUsize::new(0),
        }
    }

    /// A scanner has found `more` incidents. Are there so many that they should be packed?
    pub fn many_incidents(&self, more: usize) -> bool {
        self.incidents.fetch_add(more, Ordering::Relaxed) + more > self.incidents_at_once / 2
    }

    /// Writes a sorted page; `None` when it should stay in memory. `packed` is scratch.
    pub fn offer(&self, page: &[Kept], packed: &mut Vec<u8>) -> Option<Run> {
        let bytes = size_of_val(page);
        let held = self.held.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if held <= self.pages {
            return None;
        }
        let first = page.first().map(Kept::order)?;
        packed.clear();
        let mut blocks = Vec::with_capacity(page.len().div_ceil(BLOCK));
        for block in page.chunks(BLOCK) {
            let before = packed.len();
            pack(block, packed);
            blocks.push((packed.len() - before) as u32);
        }
        let mut place = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*place, Place::NotNeeded) {
            *place = match tempfile::tempfile_in(&self.dir) {
                Ok(file) => Place::Open(Arc::new(Mutex::new(file)), 0),
                Err(e) => Place::Failed(crate::open::reason(&e)),
            };
        }
        let Place::Open(file, end) = &mut *place else { return None };
        let at = *end;
        let written = {
            let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
            file.seek(SeekFrom::Start(at)).and_then(|_| file.write_all(packed))
        };
        match written {
            Ok(()) => {
                *end += packed.len() as u64;
                self.held.fetch_sub(bytes, Ordering::Relaxed);
                Some(Run { file: Arc::clone(file), at, blocks, first, rows: page.len(), combo_base: 0, classes: None })
            }
            Err(e) => {
                // What was written before stays there and readable.
                *place = Place::Failed(crate::open::reason(&e));
                None
            }
        }
    }

    /// A place for `facts` finished facts, if they are too many for memory.
    pub fn finished(&self, facts: usize) -> Option<FactWriter> {
        if facts.saturating_mul(size_of::<Fact>()) <= self.limit || self.problem().is_some() {
            return None;
        }
        match tempfile::tempfile_in(&self.dir) {
            Ok(file) => Some(FactWriter { out: BufWriter::with_capacity(1 << 18, file), len: 0 }),
            Err(e) => {
                self.fail(&e);
                None
            }
        }
    }

    /// Remembers that the directory could not take the facts.
    pub fn fail(&self, e: &io::Error) {
        *self.file.lock().unwrap_or_else(PoisonError::into_inner) = Place::Failed(crate::open::reason(e));
    }

    /// Why facts had to stay in memory, for people.
    pub fn problem(&self) -> Option<String> {
        match &*self.file.lock().unwrap_or_else(PoisonError::into_inner) {
            Place::Failed(why) => Some(format!(
                "{}: {why}; facts about the rows stay in memory instead of a temporary file (TMPDIR names another directory)",
                self.dir.display()
            )),
            _ => None,
        }
    }
}

impl Run {
    /// Its facts, read block by block; an unreadable rest is an error.
    pub fn read(self) -> impl Iterator<Item = io::Result<Vec<Kept>>> {
        let Self { file, mut at, blocks, combo_base, classes, .. } = self;
        blocks.into_iter().map(move |bytes| {
            let mut packed = vec![0; bytes as usize];
            {
                let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
                file.seek(SeekFrom::Start(at))?;
                file.read_exact(&mut packed)?;
            }
            at += u64::from(bytes);
            let mut block = unpack(&packed).ok_or_else(|| io::Error::other("the temporary file does not hold what was written"))?;
            for kept in &mut block {
                kept.fact.combo += combo_base;
                if let Some(classes) = &classes {
                    kept.class = classes.get(kept.class as usize).copied().unwrap_or_default();
                }
            }
            Ok(block)
        })
    }
}

fn put(out: &mut Vec<u8>, n: u64) {
    varint::put(n, |byte| out.push(byte));
}

/// Bits of the packed flags above those of [`FactFlags`].
const HAS_STATUS: u16 = 1 << 15;
const SAME_STATUS: u16 = 1 << 14;

/// Packs a block: times and places as differences, counters short, hashes as they are; about 38 bytes a fact.
fn pack(block: &[Kept], out: &mut Vec<u8>) {
    put(out, block.len() as u64);
    let (mut start, mut place) = (0i64, 0i64);
    for Kept { fact: f, place: at, class, has_status } in block {
        let same = f.origin_status == f.edge_status;
        let flags = f.flags.0 | if *has_status { HAS_STATUS } else { 0 } | if same { SAME_STATUS } else { 0 };
        out.extend_from_slice(&flags.to_le_bytes());
        out.extend_from_slice(&f.ray.to_le_bytes());
        for hash in [f.request, f.page, f.client] {
            out.extend_from_slice(&hash.to_le_bytes());
        }
        for hash in [f.agent, f.shape] {
            out.extend_from_slice(&hash.to_le_bytes());
        }
        put(out, fold(f.start_ms.wrapping_sub(start)));
        put(out, fold((*at as i64).wrapping_sub(place)));
        put(out, u64::from(f.dur_ms));
        put(out, u64::from(f.combo));
        put(out, u64::from(*class));
        put(out, u64::from(f.edge_status));
        if !same {
            put(out, u64::from(f.origin_status));
        }
        // Absent is the largest value: one more makes it 0.
        put(out, u64::from(f.tcp_ms.wrapping_add(1)));
        (start, place) = (f.start_ms, *at as i64);
    }
}

/// Undoes [`pack`].
fn unpack(mut packed: &[u8]) -> Option<Vec<Kept>> {
    fn get(from: &mut &[u8]) -> Option<u64> {
        varint::take(|| {
            let (byte, rest) = from.split_first()?;
            *from = rest;
            Some(*byte)
        })
    }
    fn fixed<const N: usize>(from: &mut &[u8]) -> Option<[u8; N]> {
        let (bytes, rest) = from.split_first_chunk::<N>()?;
        *from = rest;
        Some(*bytes)
    }
    let from = &mut packed;
    let rows = usize::try_from(get(from)?).ok()?;
    let mut block = Vec::with_capacity(rows.min(BLOCK));
    let (mut start, mut place) = (0i64, 0i64);
    for _ in 0..rows {
        let flags = u16::from_le_bytes(fixed(from)?);
        let mut f =
            Fact { ray: u64::from_le_bytes(fixed(from)?), flags: FactFlags(flags & !(HAS_STATUS | SAME_STATUS)), ..Fact::default() };
        f.request = u32::from_le_bytes(fixed(from)?);
        f.page = u32::from_le_bytes(fixed(from)?);
        f.client = u32::from_le_bytes(fixed(from)?);
        f.agent = u16::from_le_bytes(fixed(from)?);
        f.shape = u16::from_le_bytes(fixed(from)?);
        start = start.wrapping_add(unfold(get(from)?));
        place = place.wrapping_add(unfold(get(from)?));
        f.start_ms = start;
        f.dur_ms = u32::try_from(get(from)?).ok()?;
        f.combo = u32::try_from(get(from)?).ok()?;
        let class = u32::try_from(get(from)?).ok()?;
        f.edge_status = u16::try_from(get(from)?).ok()?;
        f.origin_status = if flags & SAME_STATUS != 0 { f.edge_status } else { u16::try_from(get(from)?).ok()? };
        f.tcp_ms = u16::try_from(get(from)?).ok()?.wrapping_sub(1);
        block.push(Kept { fact: f, place: place as u64, class, has_status: flags & HAS_STATUS != 0 });
    }
    packed.is_empty().then_some(block)
}

/// Writes finished facts as they lie in memory.
#[derive(Debug)]
pub(crate) struct FactWriter {
    out: BufWriter<File>,
    len: usize,
}

// Facts are written to and mapped from a file of this process as they lie in memory: no padding, any bits are valid.
const _: () = assert!(size_of::<Fact>() == 48 && align_of::<Fact>() == 8);

impl FactWriter {
    /// Appends some.
    pub fn write(&mut self, facts: &[Fact]) -> io::Result<()> {
        // SAFETY: `Fact` is `repr(C)` without padding (its fields add up to its 48 bytes), so all bytes are initialised.
        let bytes = unsafe { std::slice::from_raw_parts(facts.as_ptr().cast::<u8>(), size_of_val(facts)) };
        self.len += facts.len();
        self.out.write_all(bytes)
    }

    /// Maps what was written.
    pub fn finish(self) -> io::Result<MappedFacts> {
        let Self { out, len } = self;
        let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
        // SAFETY: the file has no name and this was its only handle, so nobody can shorten or change it under the mapping.
        let map = unsafe { Mmap::map(&file)? };
        if map.len() != len * size_of::<Fact>() {
            return Err(io::Error::other("the temporary file does not hold what was written"));
        }
        Ok(MappedFacts { map, file, len })
    }
}

/// Facts in a mapped temporary file.
#[derive(Debug)]
pub(crate) struct MappedFacts {
    map: Mmap,
    /// The same file, to read single facts from: a page that is looked at once costs more than a call.
    file: File,
    len: usize,
}

impl MappedFacts {
    #[cfg(unix)]
    fn read_from_file(&self, index: usize) -> Option<Fact> {
        use std::os::unix::fs::FileExt;
        let mut bytes = [0; size_of::<Fact>()];
        self.file.read_exact_at(&mut bytes, (index * size_of::<Fact>()) as u64).ok()?;
        // SAFETY: as many bytes as a `Fact` has, and every bit pattern is a valid one; they need not be aligned.
        Some(unsafe { std::ptr::read_unaligned(bytes.as_ptr().cast::<Fact>()) })
    }

    #[cfg(not(unix))]
    fn read_from_file(&self, _index: usize) -> Option<Fact> {
        None
    }
}

impl FactStore for MappedFacts {
    fn facts(&self) -> &[Fact] {
        // SAFETY: the mapping holds `len` facts as `FactWriter::write` wrote them and begins at a page; every bit
        // pattern is a valid `Fact`; it is never written to and lives as long as `self`.
        unsafe { std::slice::from_raw_parts(self.map.as_ptr().cast::<Fact>(), self.len) }
    }

    fn read(&self, index: usize) -> Option<Fact> {
        if index >= self.len {
            return None;
        }
        self.read_from_file(index).or_else(|| self.facts().get(index).copied())
    }

    fn release(&self, range: Range<usize>) {
        #[cfg(unix)]
        {
            let page = 4096;
            let from = (range.start * size_of::<Fact>()).next_multiple_of(page);
            // The last page of all may go as well; any other that the range ends in is still in use.
            let to = if range.end >= self.len { self.map.len() } else { range.end * size_of::<Fact>() / page * page };
            if from < to {
                // SAFETY: dropping pages of a shared, read-only file mapping changes no content: they are read again from
                // the file when somebody looks.
                let _ = unsafe { self.map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, from, to - from) };
            }
        }
        #[cfg(not(unix))]
        let _ = range;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn any_kept() -> impl Strategy<Value = Kept> {
        let statuses = (0u16..3, any::<u16>(), prop_oneof![Just(200u16), any::<u16>()]);
        let hashes = (any::<u64>(), any::<[u32; 3]>(), any::<[u16; 2]>());
        let rest =
            (prop_oneof![Just(i64::MIN), any::<i64>()], any::<u32>(), any::<u32>(), prop_oneof![Just(0), Just(u16::MAX), any::<u16>()]);
        (statuses, hashes, rest, 0u16..512, any::<u64>(), any::<u32>(), any::<bool>()).prop_map(
            |(
                (same, a, b),
                (ray, [request, page, client], [agent, shape]),
                (start_ms, dur_ms, combo, tcp_ms),
                flags,
                place,
                class,
                has_status,
            )| {
                let fact = Fact {
                    start_ms,
                    ray,
                    dur_ms,
                    request,
                    page,
                    client,
                    combo,
                    edge_status: a,
                    origin_status: if same == 0 { a } else { b },
                    agent,
                    shape,
                    tcp_ms,
                    flags: FactFlags(flags),
                };
                Kept { fact, place, class, has_status }
            },
        )
    }

    proptest! {
        #[test]
        fn packed_and_unpacked(block in proptest::collection::vec(any_kept(), 0..40)) {
            let mut packed = Vec::new();
            pack(&block, &mut packed);
            prop_assert_eq!(unpack(&packed), Some(block));
        }

        #[test]
        fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = unpack(&bytes);
        }
    }

    #[test]
    fn pages_and_finished_facts_come_back() {
        let page: Vec<Kept> = (0..5000u64)
            .map(|i| Kept { fact: Fact { start_ms: i as i64, ray: i * 7, ..Fact::default() }, place: i * 2400, class: 0, has_status: true })
            .collect();
        let spill = Spill::new(0, None, usize::MAX);
        let run = spill.offer(&page, &mut Vec::new()).unwrap();
        assert_eq!((run.rows, run.first), (5000, (0, 0, 0)));
        let back: Vec<Kept> = run.read().flat_map(Result::unwrap).collect();
        assert!(back == page);
        let facts: Vec<Fact> = page.iter().map(|k| k.fact).collect();
        let mut out = spill.finished(facts.len()).unwrap();
        out.write(&facts[..3000]).unwrap();
        out.write(&facts[3000..]).unwrap();
        let stored = out.finish().unwrap();
        stored.release(0..2500);
        assert_eq!(stored.facts(), facts);
        stored.release(0..facts.len());
        assert_eq!(stored.facts(), facts);
    }

    #[test]
    fn what_cannot_be_written_stays_in_memory() {
        let spill = Spill::new(0, Some("/nowhere/at/all".into()), usize::MAX);
        let kept = Kept { fact: Fact::default(), place: 1, class: 0, has_status: true };
        assert!(spill.offer(&[kept], &mut Vec::new()).is_none());
        assert!(spill.finished(1).is_none());
        let problem = spill.problem().unwrap();
        assert!(problem.contains("/nowhere/at/all") && problem.contains("TMPDIR"), "{problem}");
        // Few facts ask for no file.
        let spill = Spill::new(1 << 20, Some("/nowhere/at/all".into()), usize::MAX);
        assert!(spill.offer(&[kept], &mut Vec::new()).is_none() && spill.finished(1).is_none());
        assert_eq!(spill.problem(), None);
    }
}
