//! A site's logs on disk, and the binary let loose on them.

use super::report::Report;
use crate::support::run;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A directory with a site's logs in it.
pub struct Tree {
    dir: TempDir,
}

impl Tree {
    /// An empty one.
    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    /// Its place.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Writes a file.
    pub fn put(&self, file: &str, text: &str) -> PathBuf {
        let path = self.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    /// Analyses `logs`.
    pub fn report(&self) -> Report {
        self.report_with(&["logs"])
    }

    /// Analyses with other arguments.
    pub fn report_with(&self, args: &[&str]) -> Report {
        let mut all = vec!["analyze", "-o", "out.csv", "-q", "--show-secrets"];
        all.extend(args);
        run(self.path(), &all).ended(0);
        Report::read(self.path(), &fs::read_to_string(self.path().join("out.csv")).unwrap())
    }
}
