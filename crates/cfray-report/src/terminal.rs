//! The summary for people at a terminal.
//!
//! In the order in which a person asks: what was read, what was it, when and where, what to do, what could
//! not be seen, where is the rest. Every line fits the width; colour carries meaning only, and is laid on
//! after the line was measured.

mod configuration;

use crate::RenderOptions;
use crate::escape::visible;
use crate::format::OutputFormat;
use crate::layout::{bar, cut, cut_middle, left, right, width as columns, wrap};
use crate::view::View;
use crate::words::{self, Tone, count, number, percent, span, sure};
use anstyle::{AnsiColor, Style};
use cfray_model::Cause;
use cfray_model::report::{CauseSummary, Episode, Report, SourceSummary};
use std::collections::BTreeMap;

/// Narrowest layout; below that lines would hold nothing.
const NARROW: usize = 40;
/// Lines of text are not read well when longer than this.
const TEXT: usize = 100;
/// Episodes shown.
const EPISODES: usize = 5;
/// Endpoints shown.
const ENDPOINTS: usize = 6;
/// Causes whose fix is shown.
const FIXES: usize = 3;
/// Indent of what belongs to a line.
const INDENT: usize = 4;

/// Draws the summary.
pub fn summary(view: &View<'_>, width: usize, color: bool, options: &RenderOptions) -> String {
    let report = &view.head;
    let mut page = Page { out: String::new(), width: width.max(NARROW), color };
    page.head(report);
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

struct Page {
    out: String,
    width: usize,
    color: bool,
}

impl Page {
    fn paint(&self, text: &str, style: Style) -> String {
        if self.color && !text.is_empty() { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }

    fn dim(&self, text: &str) -> String {
        self.paint(text, Style::new().dimmed())
    }

    fn strong(&self, text: &str) -> String {
        self.paint(text, Style::new().bold())
    }

    fn cause(&self, text: &str, cause: Cause) -> String {
        self.paint(text, style(cause))
    }

    fn line(&mut self, text: &str) {
        self.out.push_str(text.trim_end());
        self.out.push('\n');
    }

    fn title(&mut self, text: &str) {
        self.out.push('\n');
        for line in wrap(&text.to_uppercase(), self.width) {
            let line = self.strong(&line);
            self.line(&line);
        }
    }

    /// A paragraph, indented.
    fn text(&mut self, text: &str, indent: usize, style: Style) {
        let lines = wrap(&visible(text), self.width.min(TEXT).saturating_sub(indent));
        for line in lines {
            let line = format!("{}{}", " ".repeat(indent), self.paint(&line, style));
            self.line(&line);
        }
    }

    /// `  label     text`, with the text hanging beside the label.
    fn entry(&mut self, label: &str, text: &str) {
        const LABEL: usize = 11;
        let lines = wrap(&visible(text), self.width.min(TEXT + LABEL).saturating_sub(LABEL + 2));
        for (at, line) in lines.iter().enumerate() {
            let label = self.dim(&left(if at == 0 { label } else { "" }, LABEL));
            let line = format!("  {label}{line}");
            self.line(&line);
        }
    }

    fn head(&mut self, report: &Report) {
        self.text(&report.headline, 0, Style::new().bold());
    }

    fn read(&mut self, report: &Report) {
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
    fn sources(&mut self, report: &Report) {
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

    fn clocks(&mut self, report: &Report) {
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

    fn causes(&mut self, report: &Report) {
        self.title("Causes");
        let total: u64 = report.causes.iter().map(|c| c.count).sum();
        // Whatever is left of a narrow page after name, number, share and certainty.
        let bars = self.width.saturating_sub(2 + 21 + 9 + 6 + 13).min(30);
        for cause in &report.causes {
            let line = format!(
                "  {}{} {}{}{}",
                self.cause(&left(cause.cause.name(), 21), cause.cause),
                right(&number(cause.count), 8),
                right(&percent(cause.count, total), 6),
                match cause.cause {
                    _ if self.width < 52 => String::new(),
                    Cause::Unknown => left("", 13),
                    _ => left(&format!("  sure {}", sure(cause.confidence)), 13),
                },
                self.cause(&bar(cause.count, total, bars), cause.cause),
            );
            self.line(&line);
        }
    }

    fn episodes(&mut self, report: &Report) {
        if report.episodes.is_empty() {
            return;
        }
        self.title("Worst episodes (UTC)");
        let days = [report.edge.counters.first, report.edge.counters.last].map(|stamp| stamp.map(|s| s.secs().div_euclid(86_400)));
        let one_day = days[0].is_some() && days[0] == days[1];
        for episode in report.episodes.iter().take(EPISODES) {
            self.episode(episode, one_day);
        }
        if report.episodes.len() > EPISODES {
            let text = format!("  and {} smaller ones in the reports", number((report.episodes.len() - EPISODES) as u64));
            let text = self.dim(&text);
            self.line(&text);
        }
    }

    fn episode(&mut self, episode: &Episode, one_day: bool) {
        let cause = episode.cause.unwrap_or(Cause::Unknown);
        let requests = if episode.requests > 0 { format!(" of {}", number(episode.requests)) } else { String::new() };
        let peak =
            if episode.peak_per_minute < episode.count { format!(", peak {}/min", number(episode.peak_per_minute)) } else { String::new() };
        let time = match (one_day, episode.from, episode.to) {
            (true, Some(from), Some(to)) => format!("{} – {}", words::clock(from), words::clock(to)),
            _ => span(episode.from, episode.to),
        };
        let head = format!("{time}   {}{requests}{peak}", number(episode.count));
        let name = left(cause.name(), 19);
        let number = self.dim(&left(&format!("#{}", episode.number), 4));
        let line = format!("  {number} {} {}", self.cause(&name, cause), cut(&head, self.width - 27));
        self.line(&line);
        let mut parts: Vec<String> = Vec::new();
        parts.extend(list(&episode.hosts, 2));
        if episode.clients > 0 {
            parts.push(count(episode.clients, "client"));
        }
        parts.extend(list(&episode.colos, 3).map(|colos| format!("via {colos}")));
        parts.extend(list(&episode.paths, 3));
        let line = format!("       {}", cut(&visible(&parts.join(" · ")), self.width - 7));
        self.line(&line);
        if let Some(decisive) = episode.decisive.first() {
            // Two lines at most: enough to see what the server said.
            let lines = wrap(&visible(decisive), self.width - 9);
            for (at, line) in lines.iter().take(2).enumerate() {
                let text = if at == 1 && lines.len() > 2 { cut(&format!("{line} …"), self.width - 9) } else { line.clone() };
                let line = format!("       {} {}", self.cause("│", cause), self.dim(&text));
                self.line(&line);
            }
        }
    }

    fn endpoints(&mut self, report: &Report) {
        if report.endpoints.is_empty() {
            return;
        }
        self.title("Endpoints hit most");
        for endpoint in report.endpoints.iter().take(ENDPOINTS) {
            let of = endpoint.total.map_or(String::new(), |total| format!("of {}", number(total)));
            let cause = endpoint.cause.unwrap_or(Cause::Unknown);
            let cause_name = if self.width < 66 { "" } else { cause.name() };
            let name_width = self.width.min(TEXT).saturating_sub(2 + 7 + 11 + if cause_name.is_empty() { 0 } else { 21 });
            let line = format!(
                "  {} {}{} {}",
                right(&number(endpoint.count), 6),
                self.dim(&left(&of, 11)),
                left(&cut_middle(&visible(&endpoint.name), name_width), name_width),
                self.cause(cause_name, cause)
            );
            self.line(&line);
        }
    }

    fn fixes(&mut self, report: &Report) {
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

    /// `    → server  text`.
    fn hanging(&mut self, who: &str, text: &str) {
        let lines = wrap(&visible(text), self.width.min(TEXT).saturating_sub(INDENT + 8));
        for (at, line) in lines.iter().enumerate() {
            let who = if at == 0 { self.dim(&left(who, 8)) } else { left("", 8) };
            let line = format!("{}{who}{line}", " ".repeat(INDENT));
            self.line(&line);
        }
    }

    fn impact(&mut self, report: &Report) {
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

    fn neighbours(&mut self, report: &Report) {
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

    fn unseen(&mut self, report: &Report) {
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

    fn written(&mut self, statuses: &str, options: &RenderOptions) {
        if options.written.is_empty() {
            return;
        }
        self.title("Written");
        for (format, path) in &options.written {
            let line = format!("  {}{}", self.dim(&left(format.name(), 10)), self.strong(&visible(path)));
            self.line(&line);
        }
        if let Some((_, path)) = options.written.iter().find(|(format, _)| *format == OutputFormat::Parquet) {
            self.out.push('\n');
            let note = self.dim(&format!("  Ask more of the {} with DuckDB:", words::incidents(statuses, 2)));
            self.line(&note);
            for query in queries(path) {
                for line in query {
                    let line = format!("  {}", self.paint(&line, AnsiColor::Cyan.on_default()));
                    self.line(&line);
                }
            }
        }
    }
}

/// Two queries that run on the Parquet file just written. (They may be wider than the page when the path
/// is: a query that is cut does not run.)
pub fn queries(path: &str) -> [Vec<String>; 2] {
    // In SQL a quote inside a string is doubled; for the shell's sake the whole is not quoted again.
    let table = format!("'{}'", visible(path).replace('\'', "''"));
    [
        vec![
            "SELECT cause, host, count(*) AS n, round(avg(confidence), 2) AS sure".to_owned(),
            format!("FROM {table} WHERE counted GROUP BY ALL ORDER BY n DESC;"),
        ],
        vec![
            "SELECT edge_time, ray_id, uri, cause, e.source, e.line, e.text".to_owned(),
            format!("FROM (SELECT *, unnest(evidence) AS e FROM {table})"),
            "WHERE e.kind = 'line' ORDER BY edge_time LIMIT 20;".to_owned(),
        ],
    ]
}

fn style(cause: Cause) -> Style {
    match words::tone(cause) {
        Tone::Broken => AnsiColor::Red.on_default(),
        Tone::Refused => AnsiColor::Yellow.on_default(),
        Tone::Wire => AnsiColor::Magenta.on_default(),
        Tone::Edge => AnsiColor::Blue.on_default(),
        Tone::Unknown => Style::new().dimmed(),
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

fn list(names: &[(String, u64)], most: usize) -> Option<String> {
    if names.is_empty() {
        return None;
    }
    let mut out = names
        .iter()
        .take(most)
        .map(|(name, _)| if columns(name) > 30 { cut_middle(name, 30) } else { name.clone() })
        .collect::<Vec<_>>()
        .join(", ");
    if names.len() > most {
        out.push_str(", …");
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
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
