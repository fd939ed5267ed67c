//! The summary for people at a terminal.
//!
//! In the order in which a person asks: what was read, what was it, when and where, what to do, what could
//! not be seen, where is the rest. Every line fits the width; colour carries meaning only, and is laid on
//! after the line was measured.

mod advice;
mod configuration;
mod found;
mod page;
mod sources;
mod written;

use crate::RenderOptions;
use crate::view::View;
use anstyle::Style;
use page::Page;

/// Narrowest layout; below that lines would hold nothing.
const NARROW: usize = 40;

/// Draws the summary.
pub fn summary(view: &View<'_>, width: usize, color: bool, options: &RenderOptions) -> String {
    let report = &view.head;
    let mut page = Page { out: String::new(), width: width.max(NARROW), color };
    page.text(&report.headline, 0, Style::new().bold());
    page.read(report);
    if report.edge.incidents + report.edge.uncounted > 0 {
        page.causes(report);
        page.episodes(report);
        page.endpoints(report);
        page.fixes(report);
        page.impact(report);
    }
    page.neighbours(report);
    page.unseen(report);
    page.configuration(report);
    page.written(&report.meta.statuses, options);
    page.out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::OutputFormat;
    use crate::layout::width as columns;
    use crate::{example, terminal};

    fn options() -> RenderOptions {
        RenderOptions {
            written: vec![(OutputFormat::Csv, "report.csv".to_owned()), (OutputFormat::Parquet, "report.parquet".to_owned())],
            ..RenderOptions::default()
        }
    }

    #[test]
    fn at_80_columns() {
        insta::assert_snapshot!(terminal(&example::report(), 80, false, &options()));
    }

    #[test]
    fn with_nothing_found() {
        insta::assert_snapshot!(terminal(&example::empty(), 80, false, &RenderOptions::default()));
    }

    #[test]
    fn every_line_fits_and_nothing_acts() {
        for width in [40, 60, 80, 120, 200] {
            for report in [example::report(), example::empty()] {
                // Queries are never cut, so they are left out here.
                let text = terminal(&report, width, false, &RenderOptions::default());
                for line in text.lines() {
                    assert!(columns(line) <= width, "{width}: {line}");
                }
                assert!(!text.chars().any(|c| c.is_control() && c != '\n') && !text.contains('\u{202e}') && !text.contains("hunter2"));
            }
        }
    }

    #[test]
    fn colour_changes_nothing_but_colour() {
        let plain = terminal(&example::report(), 80, false, &options());
        let painted = terminal(&example::report(), 80, true, &options());
        assert_ne!(plain, painted);
        let mut stripped = String::new();
        let mut rest = painted.as_str();
        while let Some((before, tail)) = rest.split_once('\x1b') {
            stripped.push_str(before);
            rest = tail.split_once('m').map_or("", |(_, rest)| rest);
        }
        stripped.push_str(rest);
        let trim = |text: &str| text.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>();
        assert_eq!(trim(&stripped), trim(&plain));
    }
}
