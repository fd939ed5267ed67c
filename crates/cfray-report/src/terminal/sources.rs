//! What was read: the logs, their clocks, and what was not read.

use super::page::{Page, TEXT};
use crate::escape::visible;
use crate::layout::{cut, cut_middle, left, right};
use crate::words::{self, count, number, span};
use anstyle::AnsiColor;
use cfray_model::report::{Report, SourceSummary};
use std::collections::BTreeMap;

impl Page {
    pub(super) fn read(&mut self, report: &Report) {
        self.title("Read");
        if !report.meta.input_note.is_empty() {
            self.entry("Input", &report.meta.input_note);
        }
        let c = &report.edge.counters;
        if c.rows > 0 || !report.edge.kind.is_empty() && report.edge.kind != "none" {
            let mut text = format!("{} in a {} log", count(c.rows, "request"), report.edge.kind);
            if c.duplicates > 0 {
                text.push_str(&format!(", {} read once", count(c.duplicates, "duplicate")));
            }
            if c.rejected > 0 {
                text.push_str(&format!(", {} rejected", count(c.rejected, "line")));
            }
            text.push_str(&format!("; {} UTC", span(c.first, c.last)));
            self.entry("Cloudflare", &text);
        } else {
            self.entry("Cloudflare", "no Cloudflare log among the inputs");
        }
        self.sources(report);
        let failed = report.skipped.iter().filter(|s| s.failed);
        for item in failed {
            let text = format!("{}: {}{}", item.name, item.what, hint(&item.hint));
            self.entry("Failed", &text);
        }
        let others: Vec<_> = report.skipped.iter().filter(|s| !s.failed).collect();
        for item in others.iter().take(4) {
            let text = format!("{}: {}{}", item.name, item.what, hint(&item.hint));
            self.entry("Not a log", &text);
        }
        if others.len() > 4 {
            let text = format!("and {} more", number(others.len() as u64 - 4));
            self.entry("", &text);
        }
        self.clocks(report);
        self.uncovered(report);
        let found = format!("{} {}", number(report.edge.incidents), words::incidents(&report.meta.statuses, report.edge.incidents));
        let internal = match report.edge.uncounted {
            0 => String::new(),
            n => format!(", and {} of internal sources, listed but not counted", number(n)),
        };
        self.entry("Found", &format!("{found}{internal}"));
        let ties: Vec<String> =
            report.edge.ties.iter().filter(|(_, n)| *n > 0).map(|(name, n)| format!("{} {}", tie(name), number(*n))).collect();
        if !ties.is_empty() {
            self.entry("Tied", &ties.join(" · "));
        }
        for note in &report.meta.notes {
            self.entry("Note", note);
        }
    }

    /// One line for each format of each server: rotated sets and hourly files stand together.
    pub(super) fn sources(&mut self, report: &Report) {
        let mut groups: BTreeMap<(&str, &str), Vec<&SourceSummary>> = BTreeMap::new();
        for source in &report.sources {
            groups.entry((&source.info.server, &source.info.format)).or_default().push(source);
        }
        // A narrow page has no room for the format.
        let format_width = if self.width < 66 { 0 } else { 20 };
        let name_width = self.width.min(TEXT).saturating_sub(2 + 11 + format_width + 13 + 1);
        for ((server, format), sources) in groups {
            let name = match sources.as_slice() {
                [one] => visible(&one.info.name).into_owned(),
                many => format!("{} in {}", count(many.len() as u64, "file"), visible(&folder(many))),
            };
            let lines: u64 = sources.iter().map(|s| s.lines).sum();
            let rejected: u64 = sources.iter().map(|s| s.rejected).sum();
            let label = if server.is_empty() { "edge".to_owned() } else { visible(server).into_owned() };
            let mut line = format!(
                "  {}{}{}{}",
                self.dim(&left(&cut(&label, 10), 11)),
                left(&cut_middle(&name, name_width), name_width + 1),
                left(&cut(format, format_width.saturating_sub(1)), format_width),
                right(&format!("{} {}", number(lines), if lines == 1 { "line" } else { "lines" }), 13)
            );
            if rejected > 0 {
                self.line(&line);
                let example = sources.iter().find_map(|s| s.rejects.first().map(|r| (s, r)));
                let why = example.map_or(String::new(), |(s, r)| format!(", first {}:{}: {}", s.info.name, r.at.line, r.reason));
                let text = format!("{} of them rejected{why}", number(rejected));
                line = format!("             {}", self.paint(&cut(&visible(&text), self.width - 13), AnsiColor::Yellow.on_default()));
            }
            self.line(&line);
        }
    }

    pub(super) fn clocks(&mut self, report: &Report) {
        let mut clocks: Vec<(&str, &str, u64)> = Vec::new();
        for source in report.sources.iter().filter(|s| !s.clock.is_empty()) {
            match clocks.iter_mut().find(|(_, clock, _)| *clock == source.clock) {
                Some((_, _, more)) => *more += 1,
                None => clocks.push((&source.info.name, &source.clock, 0)),
            }
        }
        for (at, (name, clock, more)) in clocks.iter().take(6).enumerate() {
            let others = if *more > 0 { format!(" and {}", count(*more, "other")) } else { String::new() };
            let text = format!("{}{others}: {clock}", base(name));
            self.entry(if at == 0 { "Clocks" } else { "" }, &text);
        }
        if clocks.len() > 6 {
            let text = format!("and {} more", clocks.len() - 6);
            self.entry("", &text);
        }
    }

    /// What the logs lack: stretches, files of a rotated set.
    fn uncovered(&mut self, report: &Report) {
        let all = report.sources.iter().map(|s| (base(&s.info.name), words::uncovered(s))).filter(|(_, text)| !text.is_empty());
        let all: Vec<String> = all.map(|(name, text)| format!("{name}: {text}")).collect();
        for (at, text) in all.iter().take(6).enumerate() {
            self.entry(if at == 0 { "Lacking" } else { "" }, text);
        }
        if all.len() > 6 {
            self.entry("", &format!("and {} more", all.len() - 6));
        }
    }
}

fn hint(hint: &str) -> String {
    if hint.is_empty() { String::new() } else { format!(" ({hint})") }
}

fn tie(name: &str) -> &str {
    match name {
        "none" => "to no line",
        "chain" => "by chain",
        "ray" => "by ray",
        "request" => "by request",
        "window" => "by time",
        other => other,
    }
}

fn base(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// The folder that several sources share.
fn folder(sources: &[&SourceSummary]) -> String {
    let Some(first) = sources.first() else { return String::new() };
    let mut parts: Vec<&str> = first.info.name.split('/').collect();
    parts.pop();
    for source in sources {
        let shared = parts.iter().zip(source.info.name.split('/')).take_while(|(a, b)| **a == *b).count();
        parts.truncate(shared);
    }
    if parts.is_empty() { "several folders".to_owned() } else { parts.join("/") }
}
