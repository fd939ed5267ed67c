//! Files and streams as plain bytes, whatever compression they have.
//!
//! What may happen to a log while it is read does not end the run: a file that became shorter, a
//! member that is cut off or corrupt, or a cap that is reached yields what could be read before,
//! and then an error whose text is meant for people.

use crate::options::Options;
use std::fs::File;
use std::io::{self, BufReader, Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes that are read from disk at a time below a decompressor.
const RAW_BUFFER: usize = 256 << 10;
/// Up to this output size the ratio is not looked at: short logs of equal lines compress well.
const RATIO_FROM: u64 = 64 << 20;
/// Memory that an xz stream may ask for: the largest preset needs 65 MB.
const XZ_MEMORY: u64 = 256 << 20;

/// How a file is compressed, by its first bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// RFC 1952, one member or several.
    Gzip,
    /// RFC 8878, one frame or several.
    Zstd,
    /// One stream or several.
    Bzip2,
    /// The `.xz` container.
    Xz,
}

impl Compression {
    /// Looks at magic bytes only.
    pub fn of(head: &[u8]) -> Self {
        match head {
            [0x1f, 0x8b, 8, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            // Skippable zstd frames, which pzstd puts first.
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, 0x59, 0x26, ..] => Self::Bzip2,
            // An empty bzip2 stream goes straight to its end marker.
            [b'B', b'Z', b'h', b'1'..=b'9', 0x17, 0x72, 0x45, 0x38, ..] => Self::Bzip2,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Xz,
            _ => Self::None,
        }
    }

    /// Name for reports; empty when not compressed.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Bzip2 => "bzip2",
            Self::Xz => "xz",
        }
    }
}

/// A readable source: decompressed bytes and a counter of bytes taken from disk.
pub struct Content {
    /// Decompressed bytes. An error ends the content; its text says what happened.
    pub reader: Box<dyn Read + Send>,
    /// Bytes taken from the file or stream so far.
    pub disk: Arc<AtomicU64>,
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Content").field("disk", &self.disk).finish_non_exhaustive()
    }
}

/// Which file a path meant when it was found.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct FileId {
    /// Device.
    pub dev: u64,
    /// Inode.
    pub ino: u64,
}

impl FileId {
    /// Identity of an open or found file.
    #[cfg(unix)]
    pub fn of(meta: &std::fs::Metadata) -> Option<Self> {
        use std::os::unix::fs::MetadataExt;
        Some(Self { dev: meta.dev(), ino: meta.ino() })
    }

    /// Identity of an open or found file: not known here.
    #[cfg(not(unix))]
    pub fn of(_meta: &std::fs::Metadata) -> Option<Self> {
        None
    }
}

/// Opens a regular file as it was found: the first `len` bytes of the file `id`. When the path now
/// means another file (rotated meanwhile), the file is looked for under its new name.
pub fn open_file(path: &Path, id: Option<FileId>, len: u64, compression: Compression, options: &Options) -> Result<Content, String> {
    let file = open_same(path, id)?;
    let disk = Arc::new(AtomicU64::new(0));
    let raw = Raw { inner: file, left: Some(len), len, disk: Arc::clone(&disk) };
    Ok(Content { reader: content(raw, compression, &disk, options), disk })
}

/// Opens a stream whose first bytes have been read.
pub fn open_stream<R: Read + Send + 'static>(head: Vec<u8>, rest: R, compression: Compression, options: &Options) -> Content {
    let disk = Arc::new(AtomicU64::new(0));
    let raw = Raw { inner: Cursor::new(head).chain(rest), left: None, len: 0, disk: Arc::clone(&disk) };
    Content { reader: content(raw, compression, &disk, options), disk }
}

/// Standard input without the standard library's small buffer.
pub fn stdin() -> Box<dyn Read + Send> {
    #[cfg(unix)]
    {
        use std::os::fd::AsFd;
        if let Ok(fd) = io::stdin().as_fd().try_clone_to_owned() {
            crate::memory::widen_pipe(&fd);
            return Box::new(File::from(fd));
        }
    }
    Box::new(io::stdin())
}

/// Opens `path`, or wherever the file `id` has been moved within the same directory.
fn open_same(path: &Path, id: Option<FileId>) -> Result<File, String> {
    let file = open_plain(path);
    let Some(id) = id else { return file.map_err(|e| reason(&e)) };
    let same = |file: &File| file.metadata().ok().and_then(|m| FileId::of(&m)) == Some(id);
    match file {
        Ok(file) if same(&file) => Ok(file),
        other => match renamed(path, id).and_then(|p| open_plain(&p).ok()).filter(same) {
            Some(file) => Ok(file),
            None => Err(match other {
                Ok(_) => "was replaced by another file after the run began; not read".to_owned(),
                Err(e) => reason(&e),
            }),
        },
    }
}

/// Opens for reading, never waiting for the writer of a FIFO that took a file's place.
fn open_plain(path: &Path) -> io::Result<File> {
    let mut open = File::options();
    open.read(true);
    #[cfg(target_os = "linux")]
    {
        use std::os::unix::fs::OpenOptionsExt;
        const O_NONBLOCK: i32 = 0o4000;
        open.custom_flags(O_NONBLOCK);
    }
    open.open(path)
}

/// Where a rotated file went: the entry of the same directory with the same identity.
fn renamed(path: &Path, id: FileId) -> Option<PathBuf> {
    let dir = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let entries = std::fs::read_dir(dir).ok()?;
    entries.flatten().take(100_000).find(|e| e.metadata().ok().and_then(|m| FileId::of(&m)) == Some(id)).map(|e| e.path())
}

/// What the system says about a failure, without the error number.
pub fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error ") {
        Some(cut) => text.get(..cut).unwrap_or(&text).to_owned(),
        None => text,
    }
}

/// Puts the decompressor and the caps on top of raw bytes.
fn content<R: Read + Send + 'static>(raw: R, compression: Compression, disk: &Arc<AtomicU64>, options: &Options) -> Box<dyn Read + Send> {
    let buffered = |raw: R| BufReader::with_capacity(RAW_BUFFER, raw);
    let inner: Box<dyn Read + Send> = match compression {
        Compression::None => return Box::new(raw),
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(buffered(raw))),
        Compression::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(buffered(raw))),
        Compression::Zstd => match zstd::stream::read::Decoder::with_buffer(buffered(raw)) {
            Ok(decoder) => Box::new(decoder),
            Err(e) => Box::new(Failing(Some(e))),
        },
        Compression::Xz => match liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY, liblzma::stream::CONCATENATED) {
            Ok(stream) => Box::new(liblzma::bufread::XzDecoder::new_stream(buffered(raw), stream)),
            Err(e) => Box::new(Failing(Some(e.into()))),
        },
    };
    Box::new(Inflated {
        inner,
        compression,
        out: 0,
        disk: Arc::clone(disk),
        max_inflate: options.max_inflate,
        max_ratio: options.max_ratio.max(1),
    })
}

/// Raw bytes of a file up to the length it had when found, counted.
struct Raw<R> {
    inner: R,
    /// Bytes that are still expected; `None` for streams.
    left: Option<u64>,
    len: u64,
    disk: Arc<AtomicU64>,
}

impl<R: Read> Read for Raw<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let want = match self.left {
            Some(0) => return Ok(0),
            Some(left) => buf.len().min(usize::try_from(left).unwrap_or(usize::MAX)),
            None => buf.len(),
        };
        let Some(buf) = buf.get_mut(..want) else { return Ok(0) };
        let n = loop {
            match self.inner.read(buf) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        self.disk.fetch_add(n as u64, Ordering::Relaxed);
        if let Some(left) = &mut self.left {
            if n == 0 && want > 0 {
                let had = self.len - *left;
                *left = 0;
                return Err(io::Error::other(format!("became shorter while it was read: {had} of {} bytes were left", self.len)));
            }
            *left = left.saturating_sub(n as u64);
        }
        Ok(n)
    }
}

/// A decompressor that could not even be made: fails once, then is empty.
struct Failing(Option<io::Error>);

impl Read for Failing {
    fn read(&mut self, _buf: &mut [u8]) -> io::Result<usize> {
        self.0.take().map_or(Ok(0), Err)
    }
}

/// Decompressed bytes under caps, with errors in words.
struct Inflated {
    inner: Box<dyn Read + Send>,
    compression: Compression,
    out: u64,
    disk: Arc<AtomicU64>,
    max_inflate: u64,
    max_ratio: u64,
}

impl Read for Inflated {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = match self.inner.read(buf) {
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => return Err(e),
            Err(e) => return Err(self.explain(&e)),
        };
        self.out += n as u64;
        if self.out > self.max_inflate {
            let cap = self.max_inflate;
            return Err(io::Error::other(format!("expands to more than {cap} bytes; --max-inflate raises this limit")));
        }
        // Raw bytes are counted when they enter the buffer, so `disk` may run ahead, never behind.
        let disk = self.disk.load(Ordering::Relaxed);
        if self.out > RATIO_FROM && self.out / self.max_ratio > disk {
            let ratio = self.max_ratio;
            return Err(io::Error::other(format!("expands to more than {ratio} times its size; --max-ratio raises this limit")));
        }
        Ok(n)
    }
}

impl Inflated {
    fn explain(&self, error: &io::Error) -> io::Error {
        let (name, out) = (self.compression.name(), self.out);
        let text = error.to_string();
        if text.starts_with("became shorter") {
            return io::Error::other(text);
        }
        let early = error.kind() == io::ErrorKind::UnexpectedEof || text.contains("incomplete frame");
        io::Error::other(if early {
            format!("{name} data ends early, after {out} bytes of content; what came before was read")
        } else {
            format!("{name} data is corrupt after {out} bytes of content ({text}); what came before was read")
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use std::io::Write;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut e = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        e.write_all(bytes).unwrap();
        e.finish().unwrap()
    }

    fn read(bytes: &[u8], options: &Options) -> (Vec<u8>, Option<String>) {
        let compression = Compression::of(bytes);
        let mut content = open_stream(bytes.to_vec(), io::empty(), compression, options);
        let mut out = Vec::new();
        let problem = content.reader.read_to_end(&mut out).err().map(|e| e.to_string());
        (out, problem)
    }

    #[test]
    fn every_compression_with_several_members() {
        let text = b"first line\nsecond line\n".repeat(50);
        let twice = [text.clone(), text.clone()].concat();
        let mut xz = Vec::new();
        let mut bz = Vec::new();
        for _ in 0..2 {
            let mut e = liblzma::write::XzEncoder::new(Vec::new(), 6);
            e.write_all(&text).unwrap();
            xz.extend(e.finish().unwrap());
            let mut e = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
            e.write_all(&text).unwrap();
            bz.extend(e.finish().unwrap());
        }
        let gz = [gzip(&text), gzip(&text)].concat();
        let zst = [zstd::encode_all(&text[..], 3).unwrap(), zstd::encode_all(&text[..], 3).unwrap()].concat();
        for packed in [twice.clone(), gz, zst, bz, xz] {
            assert_eq!(read(&packed, &Options::default()), (twice.clone(), None), "{:?}", Compression::of(&packed));
        }
    }

    #[test]
    fn a_cut_member_yields_what_came_before() {
        let text: Vec<u8> = (0..20_000).flat_map(|i| format!("line {i} {}\n", i * 7919 % 1000).into_bytes()).collect();
        let whole = gzip(&text);
        let (out, problem) = read(&whole[..whole.len() / 2], &Options::default());
        assert!(out.len() > 1000 && text.starts_with(&out));
        let problem = problem.unwrap();
        assert!(problem.contains("gzip data ends early") && problem.contains(&out.len().to_string()), "{problem}");
        let zst = zstd::encode_all(&text[..], 3).unwrap();
        let (_, problem) = read(&zst[..zst.len() / 2], &Options::default());
        assert!(problem.unwrap().contains("zstd data ends early"));
    }

    #[test]
    fn corrupt_bytes_are_an_error_not_an_end() {
        let text = b"a line of a log\n".repeat(5000);
        let mut packed = gzip(&text);
        packed.extend_from_slice(b"trailing text");
        let (out, problem) = read(&packed, &Options::default());
        assert_eq!(out, text);
        assert!(problem.unwrap().contains("gzip data is corrupt after"));
    }

    #[test]
    fn bombs_meet_a_cap() {
        let zeros = gzip(&vec![0u8; 100 << 20]);
        let options = Options { max_ratio: 100, ..Options::default() };
        let (out, problem) = read(&zeros, &options);
        assert!(out.len() < 80 << 20);
        assert!(problem.unwrap().contains("--max-ratio"));
        let options = Options { max_inflate: 1 << 20, ..Options::default() };
        let (out, problem) = read(&zeros, &options);
        assert!(out.len() < 2 << 20);
        assert!(problem.unwrap().contains("--max-inflate"));
        assert_eq!(read(&zeros, &Options::default()).1, None);
    }

    #[test]
    fn a_file_is_read_to_the_length_it_had() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("access.log");
        std::fs::write(&path, b"one\ntwo\nthree\n").unwrap();
        let id = FileId::of(&path.metadata().unwrap());
        let all = |len| {
            let mut out = Vec::new();
            let mut content = open_file(&path, id, len, Compression::None, &Options::default()).unwrap();
            let problem = content.reader.read_to_end(&mut out).err().map(|e| e.to_string());
            (out, problem)
        };
        assert_eq!(all(8), (b"one\ntwo\n".to_vec(), None));
        let (out, problem) = all(100);
        assert_eq!(out, b"one\ntwo\nthree\n");
        assert_eq!(problem.unwrap(), "became shorter while it was read: 14 of 100 bytes were left");
    }

    #[test]
    fn a_rotated_file_is_found_under_its_new_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("access.log");
        std::fs::write(&path, b"old\n").unwrap();
        let id = FileId::of(&path.metadata().unwrap());
        std::fs::rename(&path, dir.path().join("access.log.1")).unwrap();
        std::fs::write(&path, b"new\n").unwrap();
        let mut out = String::new();
        open_file(&path, id, 4, Compression::None, &Options::default()).unwrap().reader.read_to_string(&mut out).unwrap();
        assert_eq!(out, "old\n");
        std::fs::remove_file(dir.path().join("access.log.1")).unwrap();
        let gone = open_file(&path, id, 4, Compression::None, &Options::default()).unwrap_err();
        assert!(gone.contains("replaced"), "{gone}");
    }
}
