//! The registry of output formats.

use crate::view::View;
use crate::{RenderOptions, ReportError};
use std::io::Write;

/// An output format.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum OutputFormat {
    /// Comma-separated values, one row an incident.
    Csv,
    /// Apache Parquet, the same columns with real types.
    Parquet,
    /// One JSON object a line and incident.
    Ndjson,
    /// The whole report as one JSON document.
    Json,
    /// One self-contained page.
    Html,
    /// For chat and tickets.
    Markdown,
}

/// Renders a masked report.
pub type RenderFn = fn(&View<'_>, &RenderOptions, &mut dyn Write) -> Result<(), ReportError>;

/// One line of the registry.
#[derive(Debug)]
pub struct FormatSpec {
    /// Which.
    pub format: OutputFormat,
    /// Name for `--format`.
    pub name: &'static str,
    /// Endings of file names, without the dot; the first is the usual one.
    pub endings: &'static [&'static str],
    /// What it is good for, one clause.
    pub about: &'static str,
    /// The renderer.
    pub render: RenderFn,
}

/// Every output format, in the order in which help lists them.
pub static FORMATS: &[FormatSpec] = &[
    FormatSpec {
        format: OutputFormat::Csv,
        name: "csv",
        endings: &["csv"],
        about: "one row a 520, for spreadsheets",
        render: crate::csv::render,
    },
    FormatSpec {
        format: OutputFormat::Parquet,
        name: "parquet",
        endings: &["parquet", "pq"],
        about: "the same columns with real types, for DuckDB and polars",
        render: parquet,
    },
    FormatSpec {
        format: OutputFormat::Ndjson,
        name: "ndjson",
        endings: &["ndjson", "jsonl"],
        about: "the same columns, one JSON object a line",
        render: crate::ndjson::render,
    },
    FormatSpec {
        format: OutputFormat::Json,
        name: "json",
        endings: &["json"],
        about: "the whole report for scripts",
        render: crate::json::render,
    },
    FormatSpec {
        format: OutputFormat::Html,
        name: "html",
        endings: &["html", "htm"],
        about: "one page to look at and to share, no network needed",
        render: crate::html::render,
    },
    FormatSpec {
        format: OutputFormat::Markdown,
        name: "md",
        endings: &["md", "markdown"],
        about: "the summary for chat and tickets",
        render: crate::markdown::render,
    },
];

#[cfg(feature = "parquet")]
use crate::parquet::render as parquet;

#[cfg(not(feature = "parquet"))]
fn parquet(_: &View<'_>, _: &RenderOptions, _: &mut dyn Write) -> Result<(), ReportError> {
    Err(ReportError::Parquet("this cfray was built without the feature `parquet`".to_owned()))
}

impl OutputFormat {
    /// Its line in the registry.
    pub fn spec(self) -> &'static FormatSpec {
        // The registry lists every variant (tested); the first line stands in for the impossible.
        FORMATS.iter().find(|spec| spec.format == self).unwrap_or(&FORMATS[0])
    }

    /// Name for `--format`.
    pub fn name(self) -> &'static str {
        self.spec().name
    }

    /// Looks a name or ending up, in any case.
    pub fn from_name(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        FORMATS.iter().find(|spec| spec.name == name || spec.endings.contains(&name.as_str())).map(|spec| spec.format)
    }

    /// The format that a path's ending asks for.
    pub fn from_path(path: &std::path::Path) -> Option<Self> {
        path.extension().and_then(|ending| ending.to_str()).and_then(Self::from_name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn every_variant_is_registered_once() {
        use OutputFormat::*;
        for format in [Csv, Parquet, Ndjson, Json, Html, Markdown] {
            assert_eq!(FORMATS.iter().filter(|spec| spec.format == format).count(), 1);
            assert_eq!(OutputFormat::from_name(format.name()), Some(format));
        }
        assert_eq!(OutputFormat::from_path(Path::new("a/b.CSV")), Some(Csv));
        assert_eq!(OutputFormat::from_path(Path::new("a.csv.txt")), None);
        assert_eq!(OutputFormat::from_path(Path::new("csv")), None);
    }
}
