//! Sources: the files and streams that were read, and places in them.

use crate::line::Stack;
use serde::Serialize;

/// Index of a source in the run's sorted list of sources.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug, Serialize)]
pub struct SourceId(pub u32);

/// A place in a source. Lines count from 1; `offset` is in bytes of the decompressed content.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug, Serialize)]
pub struct LineRef {
    /// Which source.
    pub source: SourceId,
    /// 1-based line number of the record's first line.
    pub line: u64,
    /// Byte offset of the record's first byte in the decompressed content.
    pub offset: u64,
}

impl crate::shelf::Pack for SourceId {
    fn pack<'t>(&'t self, out: &mut crate::shelf::Packer<'t>) {
        self.0.pack(out);
    }
    fn unpack(from: &mut crate::shelf::Unpack<'_>) -> Self {
        Self(u32::unpack(from))
    }
}

crate::shelf::pack_struct!(LineRef { source, line, offset });

/// What one source is.
#[derive(Clone, Debug, Default, Serialize)]
pub struct SourceInfo {
    /// Path as shown to people: as given or found, `-` for standard input, lossily decoded.
    pub name: String,
    /// Name of the format in the registry, such as `nginx-access` or `cloudflare-ndjson`.
    pub format: String,
    /// Why this format was chosen, one sentence.
    pub why: String,
    /// Compression: `gzip`, `zstd`, `bzip2`, `xz` or empty.
    pub compression: String,
    /// Server the source belongs to; empty for edge logs.
    pub server: String,
    /// World the source belongs to: a directory that holds both edge and origin logs of its own, when
    /// the inputs hold several such directories. Edge rows of one scope have nothing to do with servers
    /// of another; the empty scope goes with every other.
    pub scope: String,
    /// Which software wrote it.
    pub stack: Option<Stack>,
    /// Size on disk in bytes.
    pub bytes: u64,
}

/// A file that was found but not read as a log.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Skipped {
    /// Path as shown to people.
    pub name: String,
    /// What it is, such as "systemd journal (binary)".
    pub what: String,
    /// What the reader could do about it; empty when nothing needs doing.
    pub hint: String,
    /// True when this is a failure (unreadable, corrupt), not merely something else.
    pub failed: bool,
}
