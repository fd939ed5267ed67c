//! What the callers choose.

use crate::mmap::MmapPolicy;
use cfray_formats::own::OwnPatterns;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// One input as given on the command line.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Input {
    /// A file, a directory (read recursively), or a FIFO.
    Path(PathBuf),
    /// Standard input.
    Stdin,
}

/// Options of discovery and of both passes.
#[derive(Clone, Debug)]
pub struct Options {
    /// Worker threads; 0: one for each core.
    pub threads: usize,
    /// May files be mapped into memory?
    pub mmap: MmapPolicy,
    /// `--server NAME=GLOB`: the first glob that matches decides.
    pub servers: Vec<(String, String)>,
    /// `--log-format [GLOB=]TEMPLATE`: without a glob the template is tried on every text file.
    pub log_formats: Vec<(Option<String>, String)>,
    /// `--server-config PATH`: configuration of the origin's servers beside what the inputs hold.
    pub server_configs: Vec<PathBuf>,
    /// Field names of CSV data without a header row, in order.
    pub csv_fields: Vec<String>,
    /// Renamed or nested fields: their name (dotted when nested) to the canonical Logpush name.
    pub field_map: BTreeMap<String, String>,
    /// Patterns of the user's own causes: origin lines that match are kept.
    pub own: OwnPatterns,
    /// Most bytes that one file may expand to (`--max-inflate`).
    pub max_inflate: u64,
    /// Most times its own size that a file may expand to once past 64 MB (`--max-ratio`).
    pub max_ratio: u64,
    /// Memory that should do (`--max-memory`): evidence is thinned to an eighth of it. `None`: all is kept.
    pub max_memory: Option<u64>,
    /// Longest line that is kept, in bytes; longer ones are counted as rejected and not held.
    pub max_line: usize,
    /// Longest record of several lines, in bytes; what goes beyond is left out.
    pub max_record: usize,
    /// Bytes that are read and handed to a worker at a time.
    pub block: usize,
    /// Are FIFOs that are given by name read? Opening one waits for its writer.
    pub fifos: bool,
    /// Bytes of facts about rows that stay in memory; more go to a temporary file.
    pub facts_in_memory: usize,
    /// Incidents that are analysed at once. More are cut into slices of time: see [`cfray_model::Slice`].
    pub incidents_at_once: usize,
    /// Where that file is made; the system's directory for temporary files when not given.
    pub temp_dir: Option<PathBuf>,
    /// Files that must not be read although they lie in a scanned directory (reports being written).
    pub exclude: Vec<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            threads: 0,
            mmap: MmapPolicy::Auto,
            servers: Vec::new(),
            log_formats: Vec::new(),
            server_configs: Vec::new(),
            csv_fields: Vec::new(),
            field_map: BTreeMap::new(),
            own: OwnPatterns::default(),
            max_inflate: 64 << 30,
            max_ratio: 500,
            max_memory: None,
            max_line: 16 << 20,
            max_record: 2 << 20,
            block: 1 << 20,
            fifos: true,
            facts_in_memory: 48 << 20,
            incidents_at_once: 250_000,
            temp_dir: None,
            exclude: Vec::new(),
        }
    }
}

impl Options {
    /// Number of worker threads, at least 1.
    pub fn workers(&self) -> usize {
        match self.threads {
            0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            n => n.min(256),
        }
    }
}

/// Receives progress. Bytes are bytes on disk, so that compressed files count what they weigh.
pub trait Progress: Sync {
    /// Bytes that the phase will read, as far as known (streams count 0).
    fn total(&self, bytes: u64);
    /// Bytes read since the last call.
    fn advance(&self, bytes: u64);
    /// A phase begins.
    fn phase(&self, name: &str);
}

/// Progress that nobody looks at.
#[derive(Clone, Copy, Default, Debug)]
pub struct NoProgress;

impl Progress for NoProgress {
    fn total(&self, _bytes: u64) {}
    fn advance(&self, _bytes: u64) {}
    fn phase(&self, _name: &str) {}
}
