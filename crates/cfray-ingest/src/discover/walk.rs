//! From inputs to files: sorted, each file once, nothing that is no regular file.

use crate::open::{FileId, reason};
use crate::options::{Input, Options};
use cfray_model::source::Skipped;
use std::collections::{HashMap, HashSet};
use std::fs::{FileType, Metadata};
use std::path::{Component, Path, PathBuf};

/// What can be opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Opening {
    /// A regular file, as found.
    File {
        /// Length when found: no more than this is read.
        len: u64,
        /// Identity, where the system has one.
        id: Option<FileId>,
    },
    /// A FIFO given by name: read once, to its end.
    Fifo,
    /// Standard input: likewise.
    Stdin,
}

/// A file or stream that may be a log.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Path to open (`-` for standard input).
    pub path: PathBuf,
    /// Path as shown.
    pub name: String,
    /// Parts of the directory that holds it, from the root or the working directory.
    pub dir: Vec<String>,
    /// Parts of the directory that was given (of the parent when a file was given).
    pub top: Vec<String>,
    /// How to open it.
    pub opening: Opening,
}

/// Lists what the inputs hold, sorted by path.
pub fn walk(inputs: &[Input], options: &Options, skipped: &mut Vec<Skipped>) -> Vec<Candidate> {
    let mut inputs = inputs.to_vec();
    inputs.sort();
    inputs.dedup();
    let mut walk = Walk {
        skipped,
        found: Vec::new(),
        seen: HashMap::new(),
        dirs: HashSet::new(),
        fifos: options.fifos,
        exclude: options.exclude.iter().filter_map(|p| FileId::of(&p.metadata().ok()?)).collect(),
    };
    for input in &inputs {
        match input {
            Input::Stdin => walk.found.push(Candidate {
                path: PathBuf::from("-"),
                name: "-".to_owned(),
                dir: Vec::new(),
                top: Vec::new(),
                opening: Opening::Stdin,
            }),
            Input::Path(path) => walk.input(path),
        }
    }
    let mut found = walk.found;
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

struct Walk<'a> {
    skipped: &'a mut Vec<Skipped>,
    found: Vec<Candidate>,
    /// Files by identity, with the name under which they were found first.
    seen: HashMap<FileId, String>,
    /// Directories that were entered: links between directories must not multiply them.
    dirs: HashSet<FileId>,
    exclude: HashSet<FileId>,
    fifos: bool,
}

impl Walk<'_> {
    fn input(&mut self, path: &Path) {
        match path.metadata() {
            Err(e) => self.fail(path, &reason(&e), advice(e.kind(), path)),
            Ok(meta) if meta.is_dir() => self.directory(path),
            Ok(meta) => {
                let top = parts(path.parent().unwrap_or(Path::new("")));
                self.file(path, &meta, &top, true);
            }
        }
    }

    fn directory(&mut self, root: &Path) {
        let top = parts(root);
        // A directory that was entered before is not entered again, by whatever link.
        let dirs = std::cell::RefCell::new(std::mem::take(&mut self.dirs));
        let entries: Vec<_> = walkdir::WalkDir::new(root)
            .follow_links(true)
            .sort_by_file_name()
            .into_iter()
            .filter_entry(|e| {
                !e.file_type().is_dir() || e.metadata().ok().and_then(|m| FileId::of(&m)).is_none_or(|id| dirs.borrow_mut().insert(id))
            })
            .collect();
        self.dirs = dirs.into_inner();
        for entry in entries {
            match entry {
                Ok(entry) if entry.file_type().is_dir() => {}
                Ok(entry) => match entry.metadata() {
                    Ok(meta) => self.file(entry.path(), &meta, &top, false),
                    Err(e) => {
                        self.fail(entry.path(), &e.into_io_error().map_or_else(|| "cannot be looked at".to_owned(), |e| reason(&e)), "")
                    }
                },
                Err(e) => self.walk_error(root, &e),
            }
        }
    }

    fn walk_error(&mut self, root: &Path, error: &walkdir::Error) {
        let path = error.path().unwrap_or(root);
        if error.loop_ancestor().is_some() {
            return self.skip(path, "symbolic link to a directory above it", "");
        }
        let text = error.io_error().map_or_else(|| "cannot be looked at".to_owned(), reason);
        let link = path.symlink_metadata().is_ok_and(|m| m.file_type().is_symlink());
        if link && error.io_error().is_some_and(|e| e.kind() == std::io::ErrorKind::NotFound) {
            return self.skip(path, "symbolic link to nothing", "");
        }
        let kind = error.io_error().map_or(std::io::ErrorKind::Other, std::io::Error::kind);
        self.fail(path, &text, advice(kind, path));
    }

    fn file(&mut self, path: &Path, meta: &Metadata, top: &[String], given: bool) {
        let kind = meta.file_type();
        let id = FileId::of(meta);
        let opening = if kind.is_file() {
            Opening::File { len: meta.len(), id }
        } else {
            let what = special(&kind);
            // What the shell passes for `<(command)` is open at its other end already.
            if given && what == "FIFO" && !self.fifos && !open_already(path) {
                return self.skip(
                    path,
                    "FIFO: opening it would wait for a writer",
                    "`cfray analyze` reads it; here give it as standard input (-)",
                );
            }
            if !(given && what == "FIFO") {
                let hint = if given { "" } else { "give it by name, or as `-`, to read it as a stream" };
                return self.skip(path, what, if what == "FIFO" { hint } else { "" });
            }
            Opening::Fifo
        };
        if let Some(id) = id {
            if self.exclude.contains(&id) {
                return self.skip(path, "a report of this run", "");
            }
            let name = show(path);
            if let Some(first) = self.seen.get(&id) {
                if *first != name {
                    let what = format!("same file as {first}");
                    self.skip(path, &what, "");
                }
                return;
            }
            self.seen.insert(id, name);
        }
        self.found.push(Candidate {
            path: path.to_owned(),
            name: show(path),
            dir: parts(path.parent().unwrap_or(Path::new(""))),
            top: top.to_vec(),
            opening,
        });
    }

    fn skip(&mut self, path: &Path, what: &str, hint: &str) {
        self.skipped.push(Skipped { name: show(path), what: what.to_owned(), hint: hint.to_owned(), failed: false });
    }

    fn fail(&mut self, path: &Path, what: &str, hint: &str) {
        self.skipped.push(Skipped { name: show(path), what: what.to_owned(), hint: hint.to_owned(), failed: true });
    }
}

/// `/dev/fd/63`, `/proc/self/fd/63`.
fn open_already(path: &Path) -> bool {
    path.starts_with("/dev/fd") || path.starts_with("/proc")
}

/// What to do about a path that cannot be looked at.
fn advice(kind: std::io::ErrorKind, path: &Path) -> &'static str {
    match kind {
        std::io::ErrorKind::NotFound if path.symlink_metadata().is_ok() => "the symbolic link leads to nothing: name the file itself",
        std::io::ErrorKind::NotFound => "there is nothing of that name: check the spelling, and the directory you are in",
        std::io::ErrorKind::PermissionDenied => "you may not read it: run as a user who may, such as root or a member of the group adm",
        // Too many symbolic links: the standard library has no stable name for it.
        _ if path.symlink_metadata().is_ok_and(|m| m.file_type().is_symlink()) => {
            "the symbolic link leads back to itself: name the file it should mean"
        }
        _ => "",
    }
}

/// What a thing that is neither file nor directory is.
#[cfg(unix)]
fn special(kind: &FileType) -> &'static str {
    use std::os::unix::fs::FileTypeExt;
    if kind.is_fifo() {
        "FIFO"
    } else if kind.is_socket() {
        "socket"
    } else if kind.is_char_device() || kind.is_block_device() {
        "device"
    } else {
        "special file"
    }
}

#[cfg(not(unix))]
fn special(_kind: &FileType) -> &'static str {
    "special file"
}

/// A path as shown to people: without a leading `./`, decoded lossily.
pub fn show(path: &Path) -> String {
    let path = path.strip_prefix(".").ok().filter(|p| !p.as_os_str().is_empty()).unwrap_or(path);
    path.to_string_lossy().into_owned()
}

/// The parts of a path, `.` left out; an absolute path begins with `/`.
pub fn parts(path: &Path) -> Vec<String> {
    path.components().filter(|c| *c != Component::CurDir).map(|c| c.as_os_str().to_string_lossy().into_owned()).collect()
}
