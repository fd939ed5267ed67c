//! Server configuration among the inputs: parsed, its includes followed, one tree a server.
//!
//! Includes are followed only below the paths given, regular files only, links only where their target stays
//! below, each file once on the way down, with caps. An absolute path (`/etc/nginx/conf.d/*.conf`) of a tree
//! that was copied elsewhere is looked for by its end, from the main file's directory upwards.

use super::sniff::Conf;
use super::walk::{self, Opening};
use crate::open::{self, FileId};
use crate::options::{Input, Options};
use cfray_formats::serverconf::{self, nginx};
use cfray_model::serverconf::{ConfProblem, ConfTree, Directive, Software};
use cfray_model::source::Skipped;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};

mod paths;

/// Largest configuration file, in bytes; a dump holds many.
const FILE: u64 = 16 << 20;
/// Bytes of all configuration files together.
const ALL: u64 = 128 << 20;
/// Files that are read for includes, repeated ones included.
const FILES: usize = 4_000;
/// Includes inside includes.
const DEPTH: usize = 16;
/// Problems of one configuration that are named.
const PROBLEMS: usize = 200;

/// What was read.
#[derive(Debug, Default)]
pub struct Collected {
    /// One tree a configuration.
    pub trees: Vec<ConfTree>,
    /// Files they came from, links resolved.
    pub used: BTreeSet<PathBuf>,
    /// Configuration that was found and not read, and why.
    pub skipped: Vec<Skipped>,
}

/// Parses what discovery recognised and what `--server-config` names.
pub fn collect(found: Vec<Conf>, given: Vec<Conf>, inputs: &[Input], options: &Options) -> Collected {
    let named = options.server_configs.iter().map(PathBuf::as_path);
    let paths = inputs.iter().filter_map(|i| if let Input::Path(p) = i { Some(p.as_path()) } else { None });
    let roots = paths::roots(paths.chain(named));
    let mut all = Collected::default();
    let mut reader = Reader { roots, options, files: FILES, bytes: ALL, used: BTreeSet::new() };
    let mut pending = Vec::new();
    let mut seen = BTreeSet::new();
    for (conf, by_name) in given.into_iter().map(|c| (c, true)).chain(found.into_iter().map(|c| (c, false))) {
        let real = conf.candidate.path.canonicalize().ok();
        if real.as_ref().is_some_and(|r| !seen.insert(r.clone())) {
            continue;
        }
        let stream = !matches!(conf.candidate.opening, Opening::File { .. });
        if !stream && !real.as_ref().is_some_and(|r| reader.below(r)) {
            all.skipped.push(skip(
                &conf.candidate.name,
                "server configuration behind a link that leads out of the paths given",
                "give it with --server-config",
            ));
            continue;
        }
        let name = conf.candidate.name.clone();
        match reader.text(conf) {
            Ok(one) => pending.push(Pending { real, by_name, main: one.main(), ..one }),
            Err(what) => all.skipped.push(Skipped { name, what, hint: String::new(), failed: true }),
        }
    }
    // Main files first: what they include is no configuration of its own.
    pending.sort_by(|a, b| (!a.main, !a.by_name, &a.name).cmp(&(!b.main, !b.by_name, &b.name)));
    let mut mains: Vec<(Software, PathBuf, String)> = Vec::new();
    let mut fragments: BTreeMap<(Software, PathBuf), Vec<Pending>> = BTreeMap::new();
    for one in pending {
        if one.real.as_ref().is_some_and(|r| reader.used.contains(r)) {
            continue;
        }
        if !one.main {
            let over = mains.iter().find(|(software, base, _)| !one.by_name && *software == one.software && one.base.starts_with(base));
            match over {
                Some((software, _, main)) => {
                    let what = format!("server configuration ({}) that {main} does not include", software.title());
                    all.skipped.push(skip(&one.name, &what, ""));
                }
                None => fragments.entry((one.software, one.base.clone())).or_default().push(one),
            }
            continue;
        }
        mains.push((one.software, one.base.clone(), one.name.clone()));
        all.trees.push(reader.tree(vec![one], true));
    }
    for list in fragments.into_values() {
        let list: Vec<Pending> = list.into_iter().filter(|p| !p.real.as_ref().is_some_and(|r| reader.used.contains(r))).collect();
        if !list.is_empty() {
            all.trees.push(reader.tree(list, false));
        }
    }
    all.trees.sort_by(|a, b| (a.software, &a.name).cmp(&(b.software, &b.name)));
    let globs: Vec<_> = options.servers.iter().filter_map(|(n, g)| Some((n, super::sniff::compile_glob(g).ok()?))).collect();
    for tree in &mut all.trees {
        if let Some((name, _)) = globs.iter().find(|(_, glob)| super::sniff::glob_matches(glob, Path::new(&tree.name))) {
            tree.server.clone_from(name);
        }
    }
    all.used = reader.used;
    all
}

fn skip(name: &str, what: &str, hint: &str) -> Skipped {
    Skipped { name: name.to_owned(), what: what.to_owned(), hint: hint.to_owned(), failed: false }
}

/// A file that may be the beginning of a configuration.
struct Pending {
    name: String,
    software: Software,
    text: Vec<u8>,
    real: Option<PathBuf>,
    /// Directory that relative includes start from.
    base: PathBuf,
    main: bool,
    by_name: bool,
}

impl Pending {
    /// Is it the file that the server begins with?
    fn main(&self) -> bool {
        let text = &self.text;
        if self.software == Software::Nginx && !nginx::dump(text).is_empty() {
            return true;
        }
        let parsed = serverconf::parse(self.software, text, 0, 1).directives;
        let has = |name: &str| parsed.iter().any(|d| d.is(name));
        let base = Path::new(&self.name).file_name().map(|n| n.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
        match self.software {
            Software::Nginx => has("http") || has("events"),
            Software::Apache => {
                has("ServerRoot")
                    || matches!(base.as_str(), "httpd.conf" | "apache2.conf")
                    || ((has("Include") || has("IncludeOptional")) && (has("ErrorLog") || has("User") || has("LogFormat")))
            }
            Software::Fpm => parsed.iter().any(|d| d.name == serverconf::fpm::POOL && d.arg() == "global"),
        }
    }
}

struct Reader<'o> {
    /// Directories below which includes are followed, links resolved.
    roots: Vec<PathBuf>,
    options: &'o Options,
    files: usize,
    bytes: u64,
    used: BTreeSet<PathBuf>,
}

impl Reader<'_> {
    fn below(&self, real: &Path) -> bool {
        self.roots.iter().any(|root| real.starts_with(root))
    }

    /// The text of a file that discovery found.
    fn text(&mut self, conf: Conf) -> Result<Pending, String> {
        let base = conf.candidate.path.parent().unwrap_or(Path::new("")).to_owned();
        let content = match (conf.stream, conf.candidate.opening) {
            (Some(stream), _) => stream,
            (None, Opening::File { len, id }) => open::open_file(&conf.candidate.path, id, len, conf.compression, self.options)?,
            (None, _) => return Err("is a stream and was read before".to_owned()),
        };
        let text = self.read(content)?;
        Ok(Pending { name: conf.candidate.name, software: conf.software, text, real: None, base, main: false, by_name: false })
    }

    fn read(&mut self, content: open::Content) -> Result<Vec<u8>, String> {
        let most = FILE.min(self.bytes);
        let mut text = Vec::new();
        content.reader.take(most + 1).read_to_end(&mut text).map_err(|e| open::reason(&e))?;
        if text.len() as u64 > most {
            return Err(format!("server configuration of more than {} MB: not read", most >> 20));
        }
        self.bytes -= text.len() as u64;
        Ok(text)
    }

    fn tree(&mut self, parts: Vec<Pending>, whole: bool) -> ConfTree {
        let (software, name) = parts.first().map_or((Software::Nginx, String::new()), |p| (p.software, p.name.clone()));
        let mut b = Builder {
            reader: self,
            software,
            base: parts.first().map_or_else(PathBuf::new, |p| p.base.clone()),
            files: Vec::new(),
            problems: Vec::new(),
            defines: BTreeMap::new(),
            server_root: None,
            stack: Vec::new(),
            dump: None,
            tail: Vec::new(),
            budget: serverconf::DIRECTIVES,
        };
        let mut directives = Vec::new();
        for part in parts {
            directives.extend(b.begin(part));
        }
        let (files, mut problems) = (b.files, b.problems);
        problems.dedup();
        ConfTree { software, name, whole, files, directives, problems, scope: String::new(), server: String::new() }
    }
}

/// One tree in the making.
struct Builder<'r, 'o> {
    reader: &'r mut Reader<'o>,
    software: Software,
    base: PathBuf,
    files: Vec<String>,
    problems: Vec<ConfProblem>,
    /// Apache's `Define`, in order.
    defines: BTreeMap<String, String>,
    server_root: Option<String>,
    /// Files on the way down, against loops: real paths, or paths in a dump.
    stack: Vec<PathBuf>,
    /// Files of an `nginx -T` dump by path: text and first line.
    dump: Option<BTreeMap<String, (Vec<u8>, u32)>>,
    /// Sections of files that FPM includes: they stand behind the section that includes them.
    tail: Vec<Directive>,
    /// Directives that may still be kept.
    budget: usize,
}

impl Builder<'_, '_> {
    fn begin(&mut self, part: Pending) -> Vec<Directive> {
        let sections = if self.software == Software::Nginx { nginx::dump(&part.text) } else { Vec::new() };
        let file = u32::try_from(self.files.len()).unwrap_or(u32::MAX);
        self.files.push(part.name.clone());
        self.reader.used.extend(part.real.clone());
        if let Some(first) = sections.first() {
            self.base = Path::new(&first.path).parent().unwrap_or(Path::new("/")).to_owned();
            self.stack.push(PathBuf::from(&first.path));
            let (text, line) = (first.text, first.line);
            self.dump = Some(sections.iter().map(|s| (s.path.clone(), (s.text.to_vec(), s.line))).collect());
            let parsed = serverconf::parse(self.software, text, file, line);
            return self.take(parsed, file);
        }
        self.stack = part.real.into_iter().collect();
        let parsed = serverconf::parse(self.software, &part.text, file, 1);
        self.take(parsed, file)
    }

    /// Keeps what a file holds, includes followed.
    fn take(&mut self, parsed: serverconf::Parsed, file: u32) -> Vec<Directive> {
        for (line, what) in parsed.problems {
            self.problem(file, line, what, true);
        }
        let mut out = self.expand(parsed.directives);
        if self.stack.len() <= 1 {
            out.append(&mut self.tail);
        }
        out
    }

    fn problem(&mut self, file: u32, line: u32, what: String, failed: bool) {
        if self.problems.len() < PROBLEMS {
            let file = self.files.get(file as usize).cloned().unwrap_or_default();
            self.problems.push(ConfProblem { file, line: u64::from(line), what, failed });
        }
    }

    fn expand(&mut self, list: Vec<Directive>) -> Vec<Directive> {
        let mut out = Vec::with_capacity(list.len());
        for mut d in list {
            if self.budget == 0 {
                self.problem(d.file, d.line, "too many directives in all files together: the rest is not read".to_owned(), true);
                break;
            }
            self.budget -= 1;
            if self.software == Software::Apache {
                self.apache(&mut d);
            }
            let optional = self.software != Software::Apache || d.is("IncludeOptional");
            let include = match self.software {
                Software::Apache => d.is("Include") || d.is("IncludeOptional"),
                Software::Nginx | Software::Fpm => d.name == "include",
            };
            if include && d.block.is_none() {
                let inner = self.include(&d, optional);
                if self.software == Software::Fpm {
                    self.tail.extend(inner)
                } else {
                    out.extend(inner)
                }
                continue;
            }
            if let Some(block) = d.block.take() {
                d.block = Some(self.expand(block));
            }
            out.push(d);
        }
        out
    }

    /// Follows what Apache does with names while it reads.
    fn apache(&mut self, d: &mut Directive) {
        for arg in d.args.iter_mut().filter(|a| a.contains("${")) {
            *arg = paths::substitute(arg, &self.defines);
        }
        if d.is("Define") {
            self.defines.insert(d.arg().to_owned(), d.args.get(1).cloned().unwrap_or_default());
        } else if d.is("UnDefine") {
            self.defines.remove(d.arg());
        } else if d.is("ServerRoot") {
            self.server_root = Some(d.arg().to_owned());
        }
    }

    fn include(&mut self, d: &Directive, optional: bool) -> Vec<Directive> {
        let mut out = Vec::new();
        let name = d.name.clone();
        for pattern in &d.args {
            if pattern.contains("${") {
                let what = format!("{name} {pattern}: a variable that no Define sets (the environment is not known); not followed");
                self.problem(d.file, d.line, what, false);
                continue;
            }
            if self.stack.len() >= DEPTH {
                self.problem(d.file, d.line, format!("{name} {pattern}: includes nested more than {DEPTH} deep; not followed"), true);
                continue;
            }
            if self.dump.is_some() {
                out.extend(self.dumped_files(d, pattern));
                continue;
            }
            let found = paths::resolve(&self.reader.roots, &self.base, self.server_root.as_deref(), pattern);
            let glob = paths::has_glob(pattern);
            if found.files.is_empty() && found.refused.is_empty() && !(glob && (optional || found.searched)) {
                let what = format!("{name} {pattern}: not below the paths given; not read");
                self.problem(d.file, d.line, what, false);
            }
            for (path, why) in found.refused {
                self.problem(d.file, d.line, format!("{name} {}: {why}; not read", walk::show(&path)), false);
            }
            for (path, real) in found.files {
                out.extend(self.file(d, &path, real));
            }
        }
        out
    }

    fn file(&mut self, d: &Directive, path: &Path, real: PathBuf) -> Vec<Directive> {
        let shown = walk::show(path);
        if self.stack.contains(&real) {
            self.problem(d.file, d.line, format!("{} {shown}: includes itself; not followed again", d.name), true);
            return Vec::new();
        }
        if self.reader.files == 0 {
            self.problem(d.file, d.line, format!("more than {FILES} files: {shown} is not read"), true);
            return Vec::new();
        }
        self.reader.files -= 1;
        let read = real.metadata().map_err(|e| open::reason(&e)).and_then(|meta| {
            let content = open::open_file(&real, FileId::of(&meta), meta.len(), open::Compression::None, self.reader.options)?;
            self.reader.read(content)
        });
        let text = match read {
            Ok(text) => text,
            Err(why) => {
                self.problem(d.file, d.line, format!("{} {shown}: {why}", d.name), true);
                return Vec::new();
            }
        };
        self.reader.used.insert(real.clone());
        let file = match self.files.iter().position(|f| *f == shown) {
            Some(at) => at,
            None => {
                self.files.push(shown);
                self.files.len() - 1
            }
        };
        let file = u32::try_from(file).unwrap_or(u32::MAX);
        self.stack.push(real);
        let parsed = serverconf::parse(self.software, &text, file, 1);
        let out = self.take(parsed, file);
        self.stack.pop();
        out
    }

    /// Files of a dump: only what it holds is looked at.
    fn dumped_files(&mut self, d: &Directive, pattern: &str) -> Vec<Directive> {
        let full = self.base.join(pattern).to_string_lossy().into_owned();
        let matcher = globset::GlobBuilder::new(&full).literal_separator(true).build().ok().map(|g| g.compile_matcher());
        let Some(dump) = self.dump.as_ref() else { return Vec::new() };
        let hits: Vec<(String, Vec<u8>, u32)> = dump
            .iter()
            .filter(|(path, _)| **path == full || matcher.as_ref().is_some_and(|m| m.is_match(path)))
            .map(|(path, (text, line))| (path.clone(), text.clone(), *line))
            .collect();
        if hits.is_empty() && !paths::has_glob(pattern) {
            self.problem(d.file, d.line, format!("include {pattern}: not in the dump"), false);
        }
        let mut out = Vec::new();
        for (path, text, line) in hits {
            let real = PathBuf::from(&path);
            if self.stack.contains(&real) || self.reader.files == 0 {
                self.problem(d.file, d.line, format!("include {path}: includes itself, or too many files; not followed"), true);
                continue;
            }
            self.reader.files -= 1;
            self.stack.push(real);
            let parsed = serverconf::parse(self.software, &text, 0, line);
            out.extend(self.take(parsed, 0));
            self.stack.pop();
        }
        out
    }
}

/// The world a configuration belongs to: that of the logs nearest to it.
pub fn scope(tree: &mut ConfTree, logs: &[(Vec<String>, String)]) {
    let dir = walk::parts(Path::new(&tree.name).parent().unwrap_or(Path::new("")));
    let shared = |other: &[String]| dir.iter().zip(other).take_while(|(a, b)| a == b).count();
    let mut best: BTreeMap<&str, usize> = BTreeMap::new();
    for (other, scope) in logs {
        let slot = best.entry(scope).or_default();
        *slot = (*slot).max(shared(other));
    }
    let most = best.values().copied().max().unwrap_or(0);
    let mut nearest = best.iter().filter(|(_, n)| **n == most);
    if let (Some((scope, _)), None) = (nearest.next(), nearest.next()) {
        tree.scope = (*scope).to_owned();
    }
}
