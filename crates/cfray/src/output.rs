//! Where reports go: `-o FILE`, `-o -`.

use crate::diag;
use crate::exit::{Failure, Outcome};
use cfray_model::report::Report;
use cfray_report::{FORMATS, OutputFormat, RenderOptions};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// One report to write.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Target {
    /// Where; `-` is standard output.
    pub path: PathBuf,
    /// How.
    pub format: OutputFormat,
}

impl Target {
    /// Does it go to standard output?
    pub fn is_stdout(&self) -> bool {
        self.path == Path::new("-")
    }
}

/// Decides the format of each output.
pub fn targets(paths: &[PathBuf], format: Option<OutputFormat>) -> Outcome<Vec<Target>> {
    let endings = || FORMATS.iter().filter_map(|f| f.endings.first()).map(|ending| format!(".{ending}")).collect::<Vec<_>>().join(" ");
    let names = || FORMATS.iter().map(|f| f.name).collect::<Vec<_>>().join(", ");
    let mut targets: Vec<Target> = Vec::new();
    for path in paths {
        let target = if path == Path::new("-") {
            let format =
                format.ok_or_else(|| Failure::new("-o - needs a format", "").help(format!("add --format NAME, one of {}", names())))?;
            Target { path: path.clone(), format }
        } else {
            let what = || format!("cannot tell the format of {}", path.display());
            let format = OutputFormat::from_path(path).or(format).ok_or_else(|| {
                Failure::new(what(), format!("its ending is none of {}", endings()))
                    .help(format!("use one of these, or add --format NAME, one of {}", names()))
            })?;
            Target { path: path.clone(), format }
        };
        if targets.iter().any(|other| other.path == target.path) {
            return Err(Failure::new(format!("{} is given twice with -o", path.display()), ""));
        }
        targets.push(target);
    }
    if format.is_some() && targets.is_empty() {
        return Err(Failure::new("--format says how, but not where", "").help("add -o - for standard output, or -o FILE"));
    }
    Ok(targets)
}

/// Finds out before a long run whether the outputs can be written.
pub fn check(targets: &[Target]) -> Outcome<()> {
    targets.iter().filter(|t| !t.is_stdout()).try_for_each(|target| check_path(&target.path))
}

/// As [`check`], for one file.
pub fn check_path(path: &Path) -> Outcome<()> {
    let what = || format!("cannot write {}", path.display());
    if path.as_os_str().as_encoded_bytes().ends_with(b"/") {
        return Err(Failure::new(what(), "it is a directory's name").help("name a file, such as report.csv"));
    }
    match fs::metadata(path) {
        Ok(meta) if meta.is_dir() => {
            return Err(Failure::new(what(), "it is a directory").help("name a file in it, such as report.csv"));
        }
        // Devices and FIFOs are written directly; opening one now could block or be seen.
        Ok(meta) if !meta.is_file() => return Ok(()),
        _ => {}
    }
    let folder = folder_of(path);
    match fs::metadata(&folder) {
        Ok(meta) if meta.is_dir() => {}
        Ok(_) => return Err(Failure::new(what(), format!("{} is not a directory", folder.display()))),
        Err(error) => {
            return Err(Failure::new(what(), format!("{}: {error}", folder.display()))
                .help("create the directory first (mkdir -p), or name another"));
        }
    }
    let probe = folder.join(format!(".{}.cfray-tmp-probe", std::process::id()));
    match fs::OpenOptions::new().write(true).create_new(true).open(&probe) {
        Ok(file) => {
            drop(file);
            let _ = fs::remove_file(&probe);
        }
        // Left by a run that was killed: the directory is writable.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(Failure::new(what(), error).help("name a directory you may write to")),
    }
    Ok(())
}

/// Refuses to replace a log by a report about it.
pub fn spare_inputs(targets: &[Target], sources: &[String]) -> Outcome<()> {
    targets.iter().filter(|t| !t.is_stdout()).try_for_each(|target| spare_input(&target.path, sources))
}

/// As [`spare_inputs`], for one file.
pub fn spare_input(path: &Path, sources: &[String]) -> Outcome<()> {
    let Ok(real) = path.canonicalize() else { return Ok(()) };
    if sources.iter().any(|name| Path::new(name).canonicalize().is_ok_and(|source| source == real)) {
        let what = format!("will not write {}", path.display());
        return Err(Failure::new(what, "it is one of the logs being read").help("name another file"));
    }
    Ok(())
}

fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Writes the reports: files first, standard output last. Every one is tried: what was written and the
/// first failure are returned.
pub fn write(report: &Report, targets: &[Target], options: &RenderOptions) -> (Vec<(OutputFormat, String)>, Option<Failure>) {
    let mut written = Vec::new();
    let mut failure = None;
    let (to_stdout, to_files): (Vec<&Target>, Vec<&Target>) = targets.iter().partition(|t| t.is_stdout());
    for target in to_files {
        match cfray_report::write_file(report, target.format, options, &target.path) {
            Ok(()) => written.push((target.format, target.path.display().to_string())),
            Err(error) => {
                let this = Failure::new(error.to_string(), "").help("what stood under that name is untouched");
                match failure {
                    None => failure = Some(this),
                    Some(_) => drop(diag::error(&this)),
                }
            }
        }
    }
    for target in to_stdout {
        let mut out = Pipe { inner: io::BufWriter::new(io::stdout()), gone: false };
        let result =
            cfray_report::render(report, target.format, options, &mut out).map_err(|e| Failure::new("cannot write to standard output", e));
        let result = result.and_then(|()| out.flush().map_err(|e| Failure::new("cannot write to standard output", e)));
        if let Err(this) = result {
            failure.get_or_insert(this);
        }
    }
    (written, failure)
}

/// Standard output whose reader may go away: what is written after that is dropped.
struct Pipe<W> {
    inner: W,
    gone: bool,
}

impl<W: Write> Pipe<W> {
    fn forgive<T>(&mut self, result: io::Result<T>, instead: T) -> io::Result<T> {
        match result {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.gone = true;
                Ok(instead)
            }
            other => other,
        }
    }
}

impl<W: Write> Write for Pipe<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.gone {
            return Ok(bytes.len());
        }
        let result = self.inner.write(bytes);
        self.forgive(result, bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.gone {
            return Ok(());
        }
        let result = self.inner.flush();
        self.forgive(result, ())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    fn formats_of(paths: &[&str], format: Option<OutputFormat>) -> Outcome<Vec<OutputFormat>> {
        targets(&paths.iter().map(PathBuf::from).collect::<Vec<_>>(), format).map(|t| t.iter().map(|t| t.format).collect())
    }

    #[test]
    fn the_ending_chooses_and_format_fills_in() {
        assert_eq!(
            formats_of(&["a.csv", "b.PARQUET", "c.md"], None).unwrap(),
            [OutputFormat::Csv, OutputFormat::Parquet, OutputFormat::Markdown]
        );
        assert_eq!(
            formats_of(&["-", "/dev/null", "x.csv"], Some(OutputFormat::Json)).unwrap(),
            [OutputFormat::Json, OutputFormat::Json, OutputFormat::Csv]
        );
        assert!(formats_of(&["-"], None).unwrap_err().to_string().contains("--format"));
        assert!(formats_of(&["report.xls"], None).unwrap_err().to_string().contains(".csv .parquet"));
        assert!(formats_of(&["a.csv", "a.csv"], None).unwrap_err().to_string().contains("twice"));
        assert!(formats_of(&[], Some(OutputFormat::Json)).unwrap_err().to_string().contains("-o -"));
    }

    #[test]
    fn what_cannot_be_written_is_known_before_the_run() {
        let dir = tempfile::tempdir().unwrap();
        let target = |name: &str| [Target { path: dir.path().join(name), format: OutputFormat::Csv }];
        fs::write(dir.path().join("file"), "").unwrap();
        assert!(check(&target("new.csv")).is_ok());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "the probe is gone");
        assert!(check(&target("no/such/new.csv")).unwrap_err().to_string().contains("mkdir"));
        assert!(check(&target("file/new.csv")).is_err());
        assert!(check(&target("new.csv/")).unwrap_err().to_string().contains("directory"));
        assert!(check(&target("")).unwrap_err().to_string().contains("directory"));
        assert!(check(&[Target { path: "/dev/null".into(), format: OutputFormat::Csv }]).is_ok());
    }

    #[test]
    fn a_log_is_not_replaced_by_its_report() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("edge.csv");
        fs::write(&log, "RayID\n").unwrap();
        let target = [Target { path: dir.path().join("./edge.csv"), format: OutputFormat::Csv }];
        assert!(spare_inputs(&target, &[log.display().to_string()]).is_err());
        assert!(spare_inputs(&target, &["other".to_owned()]).is_ok());
    }

    #[test]
    fn a_reader_that_goes_away_is_no_error() {
        struct Gone;
        impl Write for Gone {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
        }
        let mut pipe = Pipe { inner: Gone, gone: false };
        pipe.write_all(b"text").unwrap();
        pipe.flush().unwrap();
        assert!(diag::write_all(&mut Gone, b"text").is_ok());
    }
}
