//! Renders a [`Report`] for programs (CSV, Parquet, NDJSON, JSON) and for people (terminal, HTML,
//! Markdown).
//!
//! Every output takes the report through the same gate, [`view::View`]: secrets are masked there,
//! addresses become pseudonyms there when asked, and evidence is cut to its length there. A renderer
//! only escapes for the place where it writes. Adding an output means one file and one line in
//! [`format::FORMATS`].
#![forbid(unsafe_code)]

mod audit;
pub mod columns;
mod csv;
mod digest;
pub mod escape;
pub mod format;
mod html;
mod json;
mod json_text;
mod layout;
mod markdown;
pub mod mask;
mod ndjson;
mod ordered;
#[cfg(feature = "parquet")]
mod parquet;
mod redact;
mod row_json;
mod terminal;
pub mod view;
mod words;
mod write;

#[cfg(test)]
mod example;

use cfray_model::report::Report;
use std::io::Write;

pub use audit::{AuditFormat, audit};
pub use columns::{Column, columns};
pub use format::{FORMATS, FormatSpec, OutputFormat};
pub use mask::Masker;
pub use write::{abandon, write_file, write_whole};

/// How a report is rendered.
#[derive(Clone, Debug, Default)]
pub struct RenderOptions {
    /// CSV: leave cells that begin with `= + - @`, tab or carriage return as they are.
    pub csv_raw: bool,
    /// Show secrets. Without effect when `redact` is set.
    pub show_secrets: bool,
    /// Replace addresses and query values by pseudonyms under this key, made for the run.
    pub redact: Option<[u8; 32]>,
    /// Most threads that mask and write rows; 0 counts as 1. The result does not depend on it.
    pub threads: usize,
    /// Reports that were written, in order: the terminal summary names them.
    pub written: Vec<(OutputFormat, String)>,
}

/// Why a report could not be rendered or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// The output took no more bytes.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// A value could not be put into JSON.
    #[error("JSON: {0}")]
    Json(serde_json::Error),
    /// The page's template failed.
    #[error("HTML: {0}")]
    Html(#[from] minijinja::Error),
    /// The Parquet file could not be built.
    #[error("Parquet: {0}")]
    Parquet(String),
    /// A file could not be written; the old one, if any, is untouched.
    #[error("cannot write {path}: {source}")]
    File {
        /// Where the report should have gone.
        path: String,
        /// What happened.
        source: Box<ReportError>,
    },
    /// The output is a directory or something else that cannot hold a report.
    #[error("{0}")]
    Target(String),
}

impl From<serde_json::Error> for ReportError {
    fn from(error: serde_json::Error) -> Self {
        // A full disk met while writing JSON is an I/O error like any other.
        match error.io_error_kind() {
            Some(kind) => Self::Io(std::io::Error::new(kind, error)),
            None => Self::Json(error),
        }
    }
}

impl ReportError {
    /// Did the reader at the other end go away? That is no error of ours.
    pub fn is_broken_pipe(&self) -> bool {
        match self {
            Self::Io(error) => error.kind() == std::io::ErrorKind::BrokenPipe,
            Self::File { source, .. } => source.is_broken_pipe(),
            _ => false,
        }
    }
}

/// Writes the report in one of the registered formats.
pub fn render(report: &Report, format: OutputFormat, options: &RenderOptions, out: &mut dyn Write) -> Result<(), ReportError> {
    let view = view::View::new(report, options);
    (format.spec().render)(&view, options, out)?;
    out.flush()?;
    Ok(())
}

/// The summary for people: at most `width` columns wide, without escape bytes unless `color`.
pub fn terminal(report: &Report, width: usize, color: bool, options: &RenderOptions) -> String {
    let view = view::View::new(report, options);
    terminal::summary(&view, width, color, options)
}
