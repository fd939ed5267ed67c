//! What follows from it: fixes, who noticed, what the logs could not show.

use super::page::{INDENT, Page, TEXT};
use crate::layout::{left, right, width as columns, wrap};
use crate::words::{self, count, number};
use anstyle::Style;
use cfray_model::report::{CauseSummary, Report};

/// Causes whose fix is shown.
const FIXES: usize = 3;

impl Page {
    pub(super) fn fixes(&mut self, report: &Report) {
        let total: u64 = report.causes.iter().map(|c| c.count).sum();
        let main: Vec<&CauseSummary> =
            report.causes.iter().enumerate().filter(|(at, c)| *at == 0 || (*at < FIXES && c.count * 20 >= total)).map(|(_, c)| c).collect();
        if main.is_empty() {
            return;
        }
        self.title("What to do");
        for cause in main {
            let line = format!("  {}", self.cause(cause.cause.name(), cause.cause));
            self.line(&line);
            self.text(&cause.says, INDENT, Style::new());
            for (who, fix) in [("server", &cause.fix_admin), ("site", &cause.fix_owner), ("check", &cause.check)] {
                if !fix.is_empty() {
                    self.hanging(who, fix);
                }
            }
        }
    }

    pub(super) fn impact(&mut self, report: &Report) {
        let i = &report.impact;
        if i.clients == 0 && i.cleared == 0 && i.persisted == 0 {
            return;
        }
        self.title("Who noticed");
        let mut text = format!("{} hit, {} lost (POST, PUT, DELETE, …).", count(i.clients, "client"), count(i.writes, "write"));
        if i.cleared + i.persisted > 0 {
            let after = i.median_clear_s.map_or(String::new(), |s| format!(", half of them within {}", words::duration(s)));
            text.push_str(&format!(" {} cleared{after}; {} did not.", number(i.cleared), number(i.persisted)));
            text.push_str(&format!(" Retries after 1, 2, 4, 8 and 16 s would have saved {}.", number(i.backoff_saves)));
        }
        self.text(&text, 2, Style::new());
    }

    pub(super) fn neighbours(&mut self, report: &Report) {
        if report.edge.neighbours.is_empty() {
            return;
        }
        self.title("Other answers of Cloudflare's, not counted above");
        for (status, cause, n) in &report.edge.neighbours {
            let name = if self.width < 66 { String::new() } else { left(cause.name(), 20) };
            let indent = 14 + columns(&name);
            let meaning = wrap(words::neighbour(*cause), self.width.min(TEXT).saturating_sub(indent));
            let head = format!("  {} {status}  {}", right(&number(*n), 6), self.dim(&name));
            for (at, text) in meaning.iter().enumerate() {
                let head = if at == 0 { head.clone() } else { left("", indent) };
                self.line(&format!("{head}{text}"));
            }
        }
    }

    pub(super) fn unseen(&mut self, report: &Report) {
        if report.audit.is_empty() {
            return;
        }
        self.title("What these logs could not show");
        for item in report.audit.iter().take(6) {
            let place = if item.server.is_empty() { String::new() } else { format!("{}: ", item.server) };
            self.text(&format!("{place}{} — {}", item.what, item.hides), 2, Style::new());
            if !item.paste.is_empty() {
                self.text(&item.paste, INDENT, Style::new().dimmed());
            }
        }
        if report.audit.len() > 6 {
            let line = self.dim(&format!("  and {} more in the reports", report.audit.len() - 6));
            self.line(&line);
        }
    }
}
