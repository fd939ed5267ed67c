//! Report files: whole or not at all.

use crate::{OutputFormat, RenderOptions, ReportError, render};
use cfray_model::report::Report;
use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Files that are being written under a temporary name.
static UNFINISHED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

fn unfinished() -> MutexGuard<'static, Vec<PathBuf>> {
    UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes away what is half written, for a run that is interrupted and ends now: as long as the value lives, no report
/// can begin or be finished, so none appears by halves and an old one stays.
#[must_use = "reports can be finished again when it is dropped"]
pub fn abandon() -> Abandoned {
    let mut files = unfinished();
    for file in files.drain(..) {
        // It may be gone; nobody is left to be told otherwise.
        let _ = fs::remove_file(file);
    }
    Abandoned { _held: files }
}

/// See [`abandon`].
#[derive(Debug)]
pub struct Abandoned {
    _held: MutexGuard<'static, Vec<PathBuf>>,
}

/// A temporary name in the list of unfinished files, until dropped.
struct Listed(PathBuf);

impl Drop for Listed {
    fn drop(&mut self) {
        unfinished().retain(|file| *file != self.0);
    }
}

/// Writes the report to `path`. The file appears under its name only when it is complete: it is written
/// beside it with mode 0600, then renamed. Devices and FIFOs are written directly.
pub fn write_file(report: &Report, format: OutputFormat, options: &RenderOptions, path: &Path) -> Result<(), ReportError> {
    write_whole(path, &mut |out| render(report, format, options, out))
}

/// Writes what `fill` gives to `path`, in the same way.
pub fn write_whole(path: &Path, fill: &mut Fill<'_>) -> Result<(), ReportError> {
    write(path, fill)
        .map_err(|error| ReportError::File { path: crate::escape::visible(&path.to_string_lossy()).into_owned(), source: Box::new(error) })
}

/// Writes a file's bytes.
pub type Fill<'a> = dyn FnMut(&mut dyn Write) -> Result<(), ReportError> + 'a;

fn write(path: &Path, fill: &mut Fill<'_>) -> Result<(), ReportError> {
    let target = match fs::metadata(path) {
        Ok(meta) if meta.is_dir() => return Err(ReportError::Target("it is a directory; name a file in it".to_owned())),
        Ok(meta) if !meta.is_file() || is_descriptor(path) => {
            let mut out = BufWriter::new(OpenOptions::new().write(true).open(path)?);
            fill(&mut out)?;
            out.flush()?;
            return Ok(());
        }
        // A link keeps pointing where it did: the file behind it is replaced.
        Ok(_) => fs::canonicalize(path)?,
        Err(_) => path.to_owned(),
    };
    let parent = match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    let mut prefix = std::ffi::OsString::from(".");
    prefix.push(target.file_name().unwrap_or_default());
    prefix.push(".");
    // tempfile creates with mode 0600 and removes the file when anything below fails.
    let (mut temp, _listed) = {
        let mut files = unfinished();
        let temp = tempfile::Builder::new().prefix(&prefix).suffix(".part").tempfile_in(&parent)?;
        files.push(temp.path().to_owned());
        let listed = Listed(temp.path().to_owned());
        (temp, listed)
    };
    {
        let mut out = BufWriter::with_capacity(1 << 18, temp.as_file_mut());
        fill(&mut out)?;
        out.flush()?;
    }
    // A rename may reach the disk before the data does.
    temp.as_file().sync_all()?;
    {
        let _nobody_abandons = unfinished();
        temp.persist(&target).map_err(|error| error.error)?;
    }
    if let Ok(directory) = File::open(&parent) {
        // Not every file system can sync a directory; the report is in place all the same.
        let _ = directory.sync_all();
    }
    Ok(())
}

/// `/dev/stdout` and `/proc/self/fd/1` name what is already open, even where that is a regular file.
fn is_descriptor(path: &Path) -> bool {
    path.starts_with("/dev") || path.starts_with("/proc")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::example;

    #[test]
    fn replaces_whole_files_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("r.csv");
        fs::write(&path, "old").unwrap();
        write_file(&example::report(), OutputFormat::Csv, &RenderOptions::default(), &path).unwrap();
        assert!(fs::read_to_string(&path).unwrap().starts_with("ray_id,"));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left beside it");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn a_failure_leaves_the_old_report() {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("no/such/r.csv");
        let error = write_file(&example::report(), OutputFormat::Csv, &RenderOptions::default(), &missing).unwrap_err();
        assert!(error.to_string().contains("r.csv"), "{error}");
        let error = write_file(&example::report(), OutputFormat::Csv, &RenderOptions::default(), dir.path()).unwrap_err();
        assert!(error.to_string().contains("directory"), "{error}");
    }

    #[test]
    fn what_is_abandoned_is_gone_and_the_old_report_stays() {
        let dir = tempfile::tempdir().unwrap();
        let (part, report) = (dir.path().join(".r.csv.x.part"), dir.path().join("r.csv"));
        fs::write(&part, "half").unwrap();
        fs::write(&report, "old").unwrap();
        unfinished().push(part.clone());
        let held = abandon();
        assert!(!part.exists() && fs::read_to_string(&report).unwrap() == "old");
        drop(held);
        write_file(&example::report(), OutputFormat::Csv, &RenderOptions::default(), &report).unwrap();
        assert!(unfinished().iter().all(|file| !file.starts_with(dir.path())));
    }

    #[cfg(unix)]
    #[test]
    fn devices_and_links() {
        write_file(&example::report(), OutputFormat::Json, &RenderOptions::default(), Path::new("/dev/null")).unwrap();
        if Path::new("/dev/full").exists() {
            for format in [OutputFormat::Csv, OutputFormat::Json, OutputFormat::Parquet, OutputFormat::Html] {
                assert!(write_file(&example::report(), format, &RenderOptions::default(), Path::new("/dev/full")).is_err(), "{format:?}");
            }
        }
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("a.md"), dir.path().join("b.md"));
        fs::write(&file, "old").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        write_file(&example::report(), OutputFormat::Markdown, &RenderOptions::default(), &link).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_ne!(fs::read_to_string(&file).unwrap(), "old");
    }
}
