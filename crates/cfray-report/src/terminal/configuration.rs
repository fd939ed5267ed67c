//! What the servers' configuration says, weightiest first.

use super::page::{INDENT, Page};
use crate::words;
use anstyle::Style;
use cfray_model::report::Report;

/// Findings and problems shown.
const FINDINGS: usize = 6;

impl Page {
    pub(super) fn configuration(&mut self, report: &Report) {
        let config = &report.config;
        if config.is_empty() {
            return;
        }
        self.title("Server configuration");
        self.text(&words::config_read(config), 2, Style::new());
        for f in config.findings.iter().take(FINDINGS) {
            self.text(&format!("{}: {}", f.weight.name(), f.what), 2, Style::new());
            self.text(&words::config_place(f), INDENT, Style::new().dimmed());
            if !f.directive.is_empty() {
                self.text(&f.directive, INDENT, Style::new().dimmed());
            }
            self.text(&format!("Fix: {}", f.fix), INDENT, Style::new());
        }
        let problems = words::config_problems(config);
        for p in problems.iter().take(FINDINGS) {
            self.text(&format!("Not read: {p}"), 2, Style::new());
        }
        let more = config.findings.len().saturating_sub(FINDINGS) + problems.len().saturating_sub(FINDINGS);
        if more > 0 {
            let line = self.dim(&format!("  and {more} more in the reports"));
            self.line(&line);
        }
    }
}
