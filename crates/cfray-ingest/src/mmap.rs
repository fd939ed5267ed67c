//! Whether files are mapped into memory: they are not.
//!
//! A mapping of a file that another process truncates (copytruncate) ends in SIGBUS, which no
//! bounds check prevents; and measured on 2.4 GB of NDJSON, reading 64 KB to 1 MB at a time is as
//! fast as a mapping (0.26 to 0.28 s against 0.22 to 0.36 s) with a few megabytes resident instead
//! of all of it. Measured again with a walk over rows that takes half the time: mapped in windows of 0.5 to 2 MB
//! 0.92 s of CPU, read 1.01 s, which is a twentieth of the whole command's time: no reason to live with SIGBUS.
//! What would make a mapping pay is asking for the bytes some 2 KB ahead of the walk (prefetch): a loop of about the walk's pace then takes
//! 0.24 s of CPU for 2.4 GB, against 0.45 s reading and 0.57 s mapped without it. That is a seventh of the whole command; but a file that
//! is cut off still ends the process unless a signal handler catches it, and a lease on the file (`F_SETLEASE`) holds a truncation
//! off for `/proc/sys/fs/lease-break-time` only, which a stopped process outlasts.
//! So `auto` chooses reading everywhere. The policy keeps its place as the one point
//! at which that could change, and both values promise the same results and the same safety.

/// `--mmap auto|never`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum MmapPolicy {
    /// Whatever measures better; today that is reading for every file.
    #[default]
    Auto,
    /// Always read.
    Never,
}

impl MmapPolicy {
    /// Would a regular local file be mapped under this policy?
    pub const fn maps(self) -> bool {
        match self {
            Self::Auto | Self::Never => false,
        }
    }
}
