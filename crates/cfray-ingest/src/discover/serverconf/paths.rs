//! From the pattern of an include to files that may be read.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

/// Files one pattern may mean.
const MATCHES: usize = 2_000;
/// Entries of one directory that are looked at.
const ENTRIES: usize = 20_000;

/// What a pattern means.
#[derive(Debug, Default)]
pub struct Resolved {
    /// Files: as shown, and with links resolved.
    pub files: Vec<(PathBuf, PathBuf)>,
    /// Things that match and are not read, with the reason.
    pub refused: Vec<(PathBuf, &'static str)>,
    /// The directory that a glob speaks of was there.
    pub searched: bool,
}

/// Directories below which includes may be followed: those given, and those that hold a file given.
pub fn roots<'p>(given: impl Iterator<Item = &'p Path>) -> Vec<PathBuf> {
    let mut roots: Vec<PathBuf> = given
        .filter_map(|path| {
            let real = path.canonicalize().ok()?;
            if real.is_dir() { Some(real) } else { real.parent().map(Path::to_owned) }
        })
        .collect();
    roots.sort();
    roots.dedup();
    roots
}

/// Does the pattern hold wildcards?
pub fn has_glob(pattern: &str) -> bool {
    pattern.contains(['*', '?', '['])
}

/// Replaces `${NAME}` by what `Define` set; others stay.
pub fn substitute(text: &str, defines: &BTreeMap<String, String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        out.push_str(before);
        let known = after.split_once('}').and_then(|(name, tail)| Some((defines.get(name)?, tail)));
        match known {
            Some((value, tail)) => {
                out.push_str(value);
                rest = tail;
            }
            None => {
                out.push_str("${");
                rest = after;
            }
        }
        // A definition may hold itself many times over: no real value is long.
        if out.len() > 65_536 {
            break;
        }
    }
    out.push_str(rest);
    out
}

/// Looks a pattern up. `base` is the main file's directory; `server_root` Apache's.
pub fn resolve(roots: &[PathBuf], base: &Path, server_root: Option<&str>, pattern: &str) -> Resolved {
    let mut out = Resolved::default();
    let path = Path::new(pattern);
    let whole = match server_root {
        Some(root) if !path.is_absolute() => Path::new(root).join(path),
        _ => path.to_owned(),
    };
    if whole.is_absolute() && roots.iter().any(|root| literal(&whole).starts_with(root)) {
        look(roots, base, Path::new("/"), &parts(&whole), &mut out);
        if !out.files.is_empty() || !out.refused.is_empty() {
            return out;
        }
    }
    by_end(roots, base, &whole, &mut out, true);
    if out.files.is_empty() && out.refused.is_empty() && whole != path {
        by_end(roots, base, path, &mut out, true);
    }
    out
}

/// Looks for the longest end of the path that exists below the main file's directory or one above it.
fn by_end(roots: &[PathBuf], base: &Path, path: &Path, out: &mut Resolved, links: bool) {
    let parts = parts(path);
    for from in 0..parts.len() {
        let end = parts.get(from..).unwrap_or_default();
        let single = end.len() == 1;
        let glob = end.iter().any(|p| has_glob(p));
        for dir in above(roots, base) {
            // A bare name counts only beside the main file; a bare wildcard only if it was written so.
            let own = dir == base;
            if single && (!own || (glob && (from > 0 || path.is_absolute()))) {
                continue;
            }
            let mut found = Resolved::default();
            look_with(roots, base, &dir, end, &mut found, links);
            out.searched |= found.searched;
            if !found.files.is_empty() || !found.refused.is_empty() {
                *out = found;
                return;
            }
        }
    }
}

/// The main file's directory and those above it, up to just above what was given.
fn above(roots: &[PathBuf], base: &Path) -> Vec<PathBuf> {
    let mut out = vec![base.to_owned()];
    let Ok(mut real) = (if base.as_os_str().is_empty() { Path::new(".") } else { base }).canonicalize() else { return out };
    let mut shown = base.to_owned();
    while roots.iter().any(|root| real.starts_with(root)) && out.len() < 16 {
        let (Some(up), Some(shown_up)) = (real.parent().map(Path::to_owned), shown.parent().map(Path::to_owned)) else { break };
        // Without a name of its own the path goes on from the real one.
        shown = if shown.file_name().is_none() || shown.as_os_str().is_empty() { up.clone() } else { shown_up };
        real = up;
        out.push(shown.clone());
    }
    out
}

fn parts(path: &Path) -> Vec<String> {
    path.components()
        .filter_map(|c| match c {
            Component::Normal(part) => Some(part.to_string_lossy().into_owned()),
            Component::ParentDir => Some("..".to_owned()),
            _ => None,
        })
        .collect()
}

/// The part of a path before its first wildcard.
fn literal(path: &Path) -> PathBuf {
    path.components().take_while(|c| !has_glob(&c.as_os_str().to_string_lossy())).collect()
}

fn look(roots: &[PathBuf], base: &Path, dir: &Path, parts: &[String], out: &mut Resolved) {
    look_with(roots, base, dir, parts, out, true);
}

fn look_with(roots: &[PathBuf], base: &Path, dir: &Path, parts: &[String], out: &mut Resolved, links: bool) {
    let mut level = vec![dir.to_owned()];
    for (at, part) in parts.iter().enumerate() {
        let last = at + 1 == parts.len();
        let mut next = Vec::new();
        for path in level {
            if !has_glob(part) {
                next.push(path.join(part));
                continue;
            }
            // Directories outside of what was given are not listed.
            let listable = (if path.as_os_str().is_empty() { Path::new(".") } else { path.as_path() })
                .canonicalize()
                .is_ok_and(|real| real.is_dir() && roots.iter().any(|root| real.starts_with(root)));
            let Ok(glob) = globset::Glob::new(part).map(|g| g.compile_matcher()) else { continue };
            if !listable {
                continue;
            }
            out.searched |= last;
            let listed = std::fs::read_dir(if path.as_os_str().is_empty() { Path::new(".") } else { &path });
            let mut names: Vec<String> =
                listed.into_iter().flatten().flatten().take(ENTRIES).map(|e| e.file_name().to_string_lossy().into_owned()).collect();
            names.sort();
            let hidden = part.starts_with('.');
            next.extend(names.iter().filter(|n| (hidden || !n.starts_with('.')) && glob.is_match(n)).map(|n| path.join(n)));
        }
        next.truncate(MATCHES);
        level = next;
    }
    for path in level {
        admit(roots, base, &path, out, links, 0);
    }
}

/// Keeps a file if it may be read.
fn admit(roots: &[PathBuf], base: &Path, path: &Path, out: &mut Resolved, links: bool, depth: usize) {
    if out.files.len() >= MATCHES {
        return;
    }
    let Ok(link) = path.symlink_metadata() else { return };
    let real = path.canonicalize().ok();
    let inside = real.as_ref().is_some_and(|real| roots.iter().any(|root| real.starts_with(root)));
    if !inside {
        // A link of the machine it was copied from may have its target in the copy.
        let target = if link.is_symlink() { std::fs::read_link(path).ok().filter(|t| t.is_absolute()) } else { None };
        let mut mapped = Resolved::default();
        if let Some(target) = target.filter(|_| links) {
            by_end(roots, base, &target, &mut mapped, false);
        }
        match mapped.files.pop() {
            Some((_, real)) => out.files.push((path.to_owned(), real)),
            None if real.is_none() => out.refused.push((path.to_owned(), "a link to nothing")),
            None => out.refused.push((path.to_owned(), "a link that leads out of the paths given")),
        }
        return;
    }
    let Some((real, meta)) = real.and_then(|real| real.metadata().ok().map(|meta| (real, meta))) else { return };
    if meta.is_file() {
        out.files.push((path.to_owned(), real));
    } else if meta.is_dir() {
        // Apache takes a directory for all files in it.
        if depth >= 4 {
            return;
        }
        let mut names: Vec<PathBuf> = std::fs::read_dir(path).into_iter().flatten().flatten().take(ENTRIES).map(|e| e.path()).collect();
        names.sort();
        for name in names {
            admit(roots, base, &name, out, links, depth + 1);
        }
    } else {
        out.refused.push((path.to_owned(), "no regular file"));
    }
}
