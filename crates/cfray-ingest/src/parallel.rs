//! Blocks of many sources to many workers.
//!
//! Each worker has a state of its own; what the states hold must merge in any order, since which
//! worker gets which block is left to chance. A worker first takes sources that nobody reads yet,
//! largest first, then helps with those still being read: reading and decompressing one source is
//! serial and, but for decompression, cheap, so it happens under the source's lock; the work on the block happens outside.

use crate::blocks::{Block, BlockReader, Split};
use crate::open::Content;
use crate::options::{Options, Progress};
use cfray_model::SourceId;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

/// One source to read.
pub struct Job<'a> {
    /// Which source.
    pub source: SourceId,
    /// Size on disk, for the order of work; 0 when not known.
    pub size: u64,
    /// Where its content may be cut.
    pub split: Split<'a>,
    /// All its blocks go to one worker, in order, with no blocks of other sources between them.
    pub in_order: bool,
    /// Blocks say the numbers of their lines. Costs a pass over the bytes.
    pub numbered: bool,
    /// Opens its content. Called once.
    pub open: Box<dyn Fn() -> Result<Content, String> + Sync + Send + 'a>,
}

impl std::fmt::Debug for Job<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Job").field("source", &self.source).field("size", &self.size).finish_non_exhaustive()
    }
}

/// A source while it is read.
enum State<'a> {
    Waiting,
    Reading { reader: BlockReader<'a>, disk: Arc<AtomicU64>, told: u64 },
    Done,
}

struct Slot<'j, 'a> {
    job: &'j Job<'a>,
    state: Mutex<State<'a>>,
    done: AtomicBool,
}

/// Lets everything that runs in parallel in this process use as many threads as the options say. Only the first call
/// counts, and only before anything has run in parallel.
pub fn use_threads(options: &Options) {
    // It fails when a pool exists: then that one is used.
    let _ = rayon::ThreadPoolBuilder::new().num_threads(options.workers()).build_global();
}

/// Reads every job and feeds its blocks to workers. Gives the workers' states (in no particular
/// order) and what went wrong, by source. For a job that is read in order, `feed` is called with
/// `None` behind its last block.
pub fn for_each_block<S: Send>(
    jobs: &[Job<'_>],
    options: &Options,
    progress: &dyn Progress,
    make: impl Fn() -> S + Sync,
    feed: impl Fn(&mut S, &Job<'_>, Option<&Block>) + Sync,
) -> (Vec<S>, Vec<(SourceId, String)>) {
    let mut slots: Vec<Slot<'_, '_>> =
        jobs.iter().map(|job| Slot { job, state: Mutex::new(State::Waiting), done: AtomicBool::new(false) }).collect();
    slots.sort_by_key(|s| (std::cmp::Reverse(s.job.size), s.job.source));
    let problems = Mutex::new(Vec::new());
    let next = AtomicUsize::new(0);
    let run = || {
        let mut state = make();
        let mut block = Block::default();
        while let Some(slot) = slots.get(next.fetch_add(1, Ordering::Relaxed)) {
            while pull(slot, &mut block, options, progress, &problems) {
                feed(&mut state, slot.job, Some(&block));
            }
            if slot.job.in_order {
                feed(&mut state, slot.job, None);
            }
        }
        // Nothing is left untouched: help where something is still being read.
        while let Some(slot) = slots.iter().find(|s| !s.job.in_order && !s.done.load(Ordering::Acquire)) {
            while pull(slot, &mut block, options, progress, &problems) {
                feed(&mut state, slot.job, Some(&block));
            }
        }
        state
    };
    let workers = options.workers().min(usize::max(jobs.len().saturating_mul(64), 1));
    let states = match workers {
        1 => vec![run()],
        n if n == rayon::current_num_threads() => rayon::broadcast(|_| run()),
        n => match rayon::ThreadPoolBuilder::new().num_threads(n).build() {
            Ok(pool) => pool.broadcast(|_| run()),
            Err(_) => vec![run()],
        },
    };
    let mut problems = problems.into_inner().unwrap_or_else(PoisonError::into_inner);
    problems.sort();
    (states, problems)
}

/// How long somebody who waits for a block stays awake: about as long as another takes to read one. To sleep and be woken takes as long
/// again, and where several workers share one file they wait at every block.
const AWAKE: Duration = Duration::from_micros(100);

/// Locks, waiting awake for a moment and then asleep: who holds it may wait for a pipe.
fn patiently<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    let mut since = None;
    loop {
        match lock.try_lock() {
            Ok(held) => return held,
            Err(TryLockError::Poisoned(held)) => return held.into_inner(),
            Err(TryLockError::WouldBlock) if since.get_or_insert_with(Instant::now).elapsed() < AWAKE => std::hint::spin_loop(),
            Err(TryLockError::WouldBlock) => return lock.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }
}

/// Takes the next block of a source; `false` when it is done.
fn pull<'a>(
    slot: &Slot<'_, 'a>,
    block: &mut Block,
    options: &Options,
    progress: &dyn Progress,
    problems: &Mutex<Vec<(SourceId, String)>>,
) -> bool {
    let complain = |text: String| problems.lock().unwrap_or_else(PoisonError::into_inner).push((slot.job.source, text));
    let mut state = patiently(&slot.state);
    if matches!(*state, State::Waiting) {
        *state = match (slot.job.open)() {
            Ok(content) => {
                let reader = BlockReader::new(content.reader, slot.job.split, options);
                State::Reading { reader: if slot.job.numbered { reader } else { reader.unnumbered() }, disk: content.disk, told: 0 }
            }
            Err(text) => {
                complain(text);
                slot.done.store(true, Ordering::Release);
                State::Done
            }
        };
    }
    let State::Reading { reader, disk, told } = &mut *state else { return false };
    let more = reader.next_block(block);
    let read = disk.load(Ordering::Relaxed);
    progress.advance(read.saturating_sub(*told));
    *told = read;
    if !more {
        if let Some(text) = reader.problem() {
            complain(text.to_owned());
        }
        slot.done.store(true, Ordering::Release);
        *state = State::Done;
    }
    more
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use crate::open::{Compression, open_stream};
    use crate::options::NoProgress;

    #[test]
    fn every_line_once_whatever_the_threads() {
        let texts: Vec<Vec<u8>> = (0..5).map(|f| (0..f * 400).flat_map(|i| format!("{f} {i}\n").into_bytes()).collect()).collect();
        for threads in [1, 2, 7] {
            let options = Options { threads, block: 512, ..Options::default() };
            let jobs: Vec<Job<'_>> = texts
                .iter()
                .enumerate()
                .map(|(i, text)| Job {
                    source: SourceId(i as u32),
                    size: text.len() as u64,
                    split: Split::Lines,
                    in_order: i % 2 == 1,
                    numbered: true,
                    open: Box::new(move || Ok(open_stream(text.clone(), std::io::empty(), Compression::None, &Options::default()))),
                })
                .collect();
            let (parts, problems) = for_each_block(&jobs, &options, &NoProgress, Vec::new, |lines: &mut Vec<_>, job, block| {
                let Some(block) = block else { return assert!(job.in_order) };
                for (i, line) in block.bytes().split(|&b| b == b'\n').enumerate().filter(|l| !l.1.is_empty()) {
                    lines.push((job.source.0, block.first_line + i as u64, String::from_utf8_lossy(line).into_owned()));
                }
            });
            assert!(problems.is_empty());
            let mut all: Vec<_> = parts.into_iter().flatten().collect();
            all.sort();
            let expected: Vec<_> = (0..5).flat_map(|f| (0..f * 400).map(move |i| (f, u64::from(i) + 1, format!("{f} {i}")))).collect();
            assert_eq!(all, expected);
        }
    }

    #[test]
    fn what_cannot_be_opened_is_named_and_the_rest_is_read() {
        let jobs = [
            Job {
                source: SourceId(0),
                size: 9,
                split: Split::Lines,
                in_order: false,
                numbered: true,
                open: Box::new(|| Err("Permission denied".to_owned())),
            },
            Job {
                source: SourceId(1),
                size: 1,
                split: Split::Lines,
                in_order: false,
                numbered: true,
                open: Box::new(|| Ok(open_stream(b"x\n".to_vec(), std::io::empty(), Compression::None, &Options::default()))),
            },
        ];
        let (parts, problems) =
            for_each_block(&jobs, &Options::default(), &NoProgress, || 0, |lines, _, block| *lines += block.map_or(0, |b| b.lines));
        assert_eq!(parts.iter().sum::<u64>(), 1);
        assert_eq!(problems, [(SourceId(0), "Permission denied".to_owned())]);
    }
}
