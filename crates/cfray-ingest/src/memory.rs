//! How the process asks for memory.

/// Size, in bytes, from which on a buffer is a mapping of its own, and goes back when it is freed.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const OWN_MAPPING: i32 = 1 << 20;
/// Free memory, in bytes, at the end of the heap that is given back.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const GIVEN_BACK: i32 = 4 << 20;

/// Holds glibc's allocator to fixed limits. Left alone it raises them with each large buffer that is freed (up to 32 MB, mallopt(3)):
/// buffers then lie between what stays, and a storm of a million rows keeps a fifth more memory than it uses. To be called first.
pub fn settle_allocator() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: mallopt takes two numbers; they are documented for these parameters, and a refusal changes nothing.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, OWN_MAPPING);
        libc::mallopt(libc::M_TRIM_THRESHOLD, GIVEN_BACK);
    }
}

/// From now on what is freed stays with the process. To be called where as much is asked for again at once, as slice after slice of a storm
/// does: pages that come from the system anew have to be cleared first, which took a tenth of such a run.
pub(crate) fn keep_freed() {
    /// The largest size that glibc takes for buffers with a mapping of their own, in bytes (mallopt(3)).
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    const LARGEST: i32 = 32 << 20;
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: as in `settle_allocator`; the limits may be set at any time by any thread.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGEST);
        libc::mallopt(libc::M_TRIM_THRESHOLD, i32::MAX);
    }
}

/// Gives free memory back to the system that lies between what stays. To be called where much was freed and more is about to be asked
/// for, by other threads than those that freed it: they have heaps of their own. Takes some milliseconds.
pub fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: malloc_trim takes a number, changes nothing that is in use, and may be called at any time by any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Bytes that a pipe may hold at most for an ordinary user, unless the system was set otherwise (pipe(7), `pipe-max-size`).
#[cfg(target_os = "linux")]
const PIPE: i32 = 1 << 20;

/// Lets a pipe hold a megabyte instead of 64 KB, so that its two ends do not wait for each other sixteen times as often. What is no pipe
/// stays as it is, and so does one that may not grow.
#[cfg(unix)]
pub(crate) fn widen_pipe(end: &std::os::fd::OwnedFd) {
    #[cfg(target_os = "linux")]
    // SAFETY: the descriptor is open for as long as it is borrowed; this call takes a number and changes no memory of ours.
    unsafe {
        use std::os::fd::AsRawFd;
        libc::fcntl(end.as_raw_fd(), libc::F_SETPIPE_SZ, PIPE);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = end;
}
