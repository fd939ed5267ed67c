//! What was found: causes, episodes, endpoints.

use super::page::{Page, TEXT};
use crate::escape::visible;
use crate::layout::{bar, cut, cut_middle, left, right, width as columns, wrap};
use crate::words::{self, count, number, percent, span, sure};
use cfray_model::Cause;
use cfray_model::report::{Episode, Report};

/// Episodes shown.
const EPISODES: usize = 5;
/// Endpoints shown.
const ENDPOINTS: usize = 6;

impl Page {
    pub(super) fn causes(&mut self, report: &Report) {
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

    pub(super) fn episodes(&mut self, report: &Report) {
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

    pub(super) fn episode(&mut self, episode: &Episode, one_day: bool) {
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

    pub(super) fn endpoints(&mut self, report: &Report) {
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
