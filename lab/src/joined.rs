//! Recordings joined by cfray's own crates, for figures that no report shows: clocks in numbers, and
//! which line was tied to which request.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use cfray_causes::Settings;
use cfray_causes::join::World;
use cfray_ingest::{Input, NoProgress, Options};
use cfray_model::EdgeFilter;

/// Recordings named by `--recordings`: directories of them, or one itself.
pub fn folders(dirs: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for dir in dirs {
        if dir.join("scenario.json").exists() {
            found.push(dir.clone());
            continue;
        }
        for entry in std::fs::read_dir(dir).with_context(|| dir.display().to_string())? {
            let path = entry?.path();
            let hidden = path.file_name().is_some_and(|n| n.to_string_lossy().starts_with('.'));
            if !hidden && path.join("scenario.json").exists() {
                found.push(path);
            }
        }
    }
    found.sort();
    if found.is_empty() {
        bail!("no recordings found");
    }
    Ok(found)
}

/// Name of a recording.
pub fn name(folder: &Path) -> String {
    folder.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Joins the logs of a directory as `cfray analyze` does.
pub fn world(logs: &Path) -> World {
    let options = Options::default();
    let discovery = cfray_ingest::discover(&[Input::Path(logs.to_owned())], &options);
    let edge = cfray_ingest::scan_edge(&discovery, &EdgeFilter::default(), &options, &NoProgress);
    let origin = cfray_ingest::scan_origin(&discovery, edge.index(), &options, &NoProgress);
    World::build(edge, origin, Settings::default())
}

/// Copies logs; each line of an origin log passes through `change` with the file's path below `from`.
pub fn copy(from: &Path, to: &Path, change: &mut dyn FnMut(&Path, &str) -> String) -> Result<()> {
    copy_below(from, to, Path::new(""), change)
}

fn copy_below(from: &Path, to: &Path, below: &Path, change: &mut dyn FnMut(&Path, &str) -> String) -> Result<()> {
    std::fs::create_dir_all(to.join(below))?;
    for entry in std::fs::read_dir(from.join(below))? {
        let path = below.join(entry?.file_name());
        let (source, target) = (from.join(&path), to.join(&path));
        if source.is_dir() {
            copy_below(from, to, &path, change)?;
            continue;
        }
        if path.starts_with("cloudflare") {
            std::fs::write(&target, std::fs::read(&source)?)?;
            continue;
        }
        let packed = path.extension().is_some_and(|e| e == "gz");
        let mut bytes = std::fs::read(&source)?;
        if packed {
            let mut text = Vec::new();
            flate2::read::MultiGzDecoder::new(bytes.as_slice()).read_to_end(&mut text)?;
            bytes = text;
        }
        // What is no UTF-8 in a log is an attacker's bytes, never a stamp or a ray.
        let text = String::from_utf8_lossy(&bytes);
        let mut out = String::with_capacity(text.len() + 64);
        for line in text.split_inclusive('\n') {
            let (line, end) = line.strip_suffix('\n').map_or((line, ""), |l| (l, "\n"));
            out.push_str(&change(&path, line));
            out.push_str(end);
        }
        if packed {
            let mut gz = flate2::write::GzEncoder::new(std::fs::File::create(&target)?, flate2::Compression::fast());
            gz.write_all(out.as_bytes())?;
            gz.finish()?;
        } else {
            std::fs::write(&target, out)?;
        }
    }
    Ok(())
}

/// `--name VALUE` options of a subcommand.
pub fn options(args: &[String], known: &[&str]) -> Result<HashMap<String, Vec<String>>> {
    let mut out: HashMap<String, Vec<String>> = HashMap::new();
    let mut it = args.iter();
    while let Some(a) = it.next() {
        if !known.contains(&a.as_str()) {
            bail!("unknown option {a}; known: {}", known.join(" "));
        }
        let value = it.next().with_context(|| format!("{a} wants a value"))?;
        out.entry(a.clone()).or_default().push(value.clone());
    }
    Ok(out)
}

/// A directory for copies that is gone when the run ends.
pub struct Scratch(pub PathBuf);

impl Scratch {
    pub fn new(what: &str) -> Result<Self> {
        let dir = std::env::temp_dir().join(format!("cfray-lab-{what}-{}", std::process::id()));
        std::fs::create_dir_all(&dir)?;
        Ok(Self(dir))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
