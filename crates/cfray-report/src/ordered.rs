//! Pieces of an output that several threads make and one writes, in order.

use crate::ReportError;
use std::sync::mpsc::sync_channel;

/// Most threads that make pieces: each piece takes some megabytes until it is written.
const MOST: usize = 8;

/// Makes `pieces` pieces by their numbers on at most `threads` threads (0 counts as 1), and hands them on in order. Each thread
/// holds at most two pieces that wait to be written.
pub fn each<T: Send>(
    threads: usize,
    pieces: usize,
    make: impl Fn(usize) -> T + Sync,
    mut take: impl FnMut(T) -> Result<(), ReportError>,
) -> Result<(), ReportError> {
    let threads = threads.clamp(1, MOST).min(pieces);
    if threads <= 1 {
        return (0..pieces).try_for_each(|piece| take(make(piece)));
    }
    let make = &make;
    std::thread::scope(|scope| {
        let queues: Vec<_> = (0..threads)
            .map(|first| {
                let (send, queue) = sync_channel(1);
                scope.spawn(move || {
                    for piece in (first..pieces).step_by(threads) {
                        // Nobody takes any more: the file could not be written, which is told where that was found out.
                        if send.send(make(piece)).is_err() {
                            break;
                        }
                    }
                });
                queue
            })
            .collect();
        for queue in queues.iter().cycle().take(pieces) {
            // A thread that is gone has panicked, and so will the scope.
            let Ok(piece) = queue.recv() else { break };
            take(piece)?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn pieces_come_in_order_whatever_the_threads() {
        for threads in [0, 1, 2, 3, 99] {
            for pieces in [0, 1, 2, 7, 50] {
                let mut all = Vec::new();
                let slow = |piece: usize| {
                    if piece.is_multiple_of(3) {
                        std::thread::yield_now();
                    }
                    piece * 10
                };
                each(threads, pieces, slow, |piece| {
                    all.push(piece);
                    Ok(())
                })
                .unwrap();
                assert_eq!(all, (0..pieces).map(|piece| piece * 10).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn a_writer_that_fails_ends_it() {
        let full = || Err(ReportError::Target("full".to_owned()));
        let mut taken = 0;
        let done = each(
            2,
            1000,
            |piece| piece,
            |_| {
                taken += 1;
                if taken == 5 { full() } else { Ok(()) }
            },
        );
        assert_eq!((done.unwrap_err().to_string().as_str(), taken), ("full", 5));
    }
}
