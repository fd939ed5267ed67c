//! `cfray audit`: the visibility audit by itself, as text, JSON and Markdown.

use crate::layout::wrap;
use crate::markdown::{code, prose};
use crate::view::View;
use crate::words::{self, count};
use crate::{RenderOptions, escape::visible};
use anstyle::Style;
use cfray_model::report::{AuditItem, Report};
use cfray_model::{Cause, Family};
use serde::Serialize;
use std::fmt::Write as _;

/// Lines of text are not read well when longer than this.
const TEXT: usize = 100;

/// How the audit is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AuditFormat {
    /// For people, with width and colour.
    Text {
        /// Columns.
        width: usize,
        /// May it hold colour?
        color: bool,
    },
    /// JSON.
    Json,
    /// Markdown.
    Markdown,
}

/// A cause and the changes, by number, that reveal it: the one to make first.
struct Hidden {
    cause: Cause,
    changes: Vec<usize>,
}

/// Causes that something hides, in the order in which they are documented.
fn hidden(items: &[AuditItem]) -> Vec<Hidden> {
    diagnosed()
        .filter_map(|cause| {
            let changes: Vec<usize> = (1..).zip(items).filter(|(_, item)| item.causes.contains(&cause)).map(|(n, _)| n).collect();
            (!changes.is_empty()).then_some(Hidden { cause, changes })
        })
        .collect()
}

/// Causes of 520s that have evidence in logs.
fn diagnosed() -> impl Iterator<Item = Cause> {
    Cause::ALL.iter().copied().filter(|c| !matches!(c.family(), Family::Neighbour | Family::Unknown))
}

fn shown(items: &[AuditItem]) -> Vec<Cause> {
    diagnosed().filter(|cause| items.iter().all(|item| !item.causes.contains(cause))).collect()
}

/// Writes the audit of a report.
pub fn audit(report: &Report, format: AuditFormat, options: &RenderOptions) -> String {
    let view = View::new(report, options);
    match format {
        AuditFormat::Text { width, color } => text(&view.head, width.min(TEXT), color),
        AuditFormat::Json => json(&view.head),
        AuditFormat::Markdown => markdown(&view.head),
    }
}

fn place(item: &AuditItem) -> String {
    if item.server.is_empty() { "Cloudflare".to_owned() } else { item.server.clone() }
}

fn names(causes: &[Cause]) -> String {
    causes.iter().map(|c| c.name()).collect::<Vec<_>>().join(", ")
}

fn looked_at(report: &Report) -> String {
    let edge = report.sources.iter().filter(|s| s.info.server.is_empty()).count() as u64;
    let origin = report.sources.len() as u64 - edge;
    let servers: std::collections::BTreeSet<&str> =
        report.sources.iter().map(|s| s.info.server.as_str()).filter(|s| !s.is_empty()).collect();
    let edge = if edge == 0 { "no log of Cloudflare's".to_owned() } else { format!("{} of Cloudflare's", count(edge, "log")) };
    let origin = match origin {
        0 => "none of an origin server".to_owned(),
        n => format!("{} of {}", count(n, "log"), count(servers.len() as u64, "server")),
    };
    format!("{edge}, {origin}")
}

fn text(report: &Report, width: usize, color: bool) -> String {
    let mut out = String::new();
    let strong = |text: &str| if color { format!("{0}{text}{0:#}", Style::new().bold()) } else { text.to_owned() };
    let mut put = |text: &str, first: &str, rest: &str| {
        let room = width.saturating_sub(rest.chars().count()).max(20);
        for (at, line) in wrap(&visible(text), room).iter().enumerate() {
            let _ = writeln!(out, "{}{line}", if at == 0 { first } else { rest });
        }
    };
    put(&format!("Looked at {}.", looked_at(report)), "", "");
    for s in report.sources.iter().filter(|s| !s.clock.is_empty() && !s.info.server.is_empty()).take(12) {
        put(&format!("{}: {}; {}", s.info.name, s.clock, words::covers(s)), "  ", "    ");
    }
    let (hidden, shown) = (hidden(&report.audit), shown(&report.audit));
    out.push('\n');
    if hidden.is_empty() {
        let _ = writeln!(out, "{}", strong("These logs can show every cause."));
        return out;
    }
    let _ = writeln!(out, "{}", strong("CAUSES THAT THESE LOGS COULD NOT SHOW, OR NOT FOR SURE"));
    for h in &hidden {
        let Some((first, others)) = h.changes.split_first() else { continue };
        let Some(item) = report.audit.get(first - 1) else { continue };
        let also = if others.is_empty() {
            String::new()
        } else {
            format!(" (surer with {})", others.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
        };
        let head = format!("  {:<21}", h.cause.name());
        let body = format!(
            "change {first}: {}{}{also}",
            if item.server.is_empty() { String::new() } else { format!("{}: ", item.server) },
            item.what
        );
        let room = width.saturating_sub(23).max(20);
        for (at, line) in wrap(&visible(&body), room).iter().enumerate() {
            let _ = writeln!(out, "{}{line}", if at == 0 { head.clone() } else { " ".repeat(23) });
        }
    }
    let _ = writeln!(out, "\n{}", strong("CHANGES"));
    for (n, item) in (1..).zip(&report.audit) {
        let text = format!("{}: {}. Hides {}.", place(item), item.what, item.hides);
        for (at, line) in wrap(&visible(&text), width.saturating_sub(5).max(20)).iter().enumerate() {
            let _ = writeln!(out, "{}{line}", if at == 0 { format!("{n:>3}. ") } else { "     ".to_owned() });
        }
        // A line to paste stays one line, however long.
        for line in item.paste.lines() {
            let _ = writeln!(out, "         {}", visible(line));
        }
    }
    if !shown.is_empty() {
        let mut put = |text: &str| {
            for line in wrap(text, width) {
                let _ = writeln!(out, "{line}");
            }
        };
        put("");
        put(&format!("Nothing hides: {}.", names(&shown)));
    }
    out
}

#[derive(Serialize)]
struct AuditJson<'a> {
    version: &'a str,
    inputs: &'a [String],
    edge_kind: &'a str,
    causes: Vec<CauseJson<'a>>,
    changes: Vec<ChangeJson<'a>>,
    nothing_hides: Vec<&'a str>,
    sources: Vec<crate::json::SourceJson<'a>>,
}

#[derive(Serialize)]
struct CauseJson<'a> {
    cause: &'a str,
    family: &'a str,
    change: usize,
    surer_with: Vec<usize>,
    paste: &'a str,
}

#[derive(Serialize)]
struct ChangeJson<'a> {
    number: usize,
    server: &'a str,
    what: &'a str,
    hides: &'a str,
    causes: Vec<&'a str>,
    paste: &'a str,
}

fn json(report: &Report) -> String {
    let hidden = hidden(&report.audit);
    let causes = hidden.iter().filter_map(|h| {
        let (first, others) = h.changes.split_first()?;
        let item = report.audit.get(first - 1)?;
        Some(CauseJson {
            cause: h.cause.name(),
            family: h.cause.family().name(),
            change: *first,
            surer_with: others.to_vec(),
            paste: &item.paste,
        })
    });
    let changes = (1..).zip(&report.audit).map(|(number, item)| ChangeJson {
        number,
        server: &item.server,
        what: &item.what,
        hides: &item.hides,
        causes: item.causes.iter().map(|c| c.name()).collect(),
        paste: &item.paste,
    });
    let document = AuditJson {
        version: &report.meta.version,
        inputs: &report.meta.inputs,
        edge_kind: &report.edge.kind,
        causes: causes.collect(),
        changes: changes.collect(),
        nothing_hides: shown(&report.audit).iter().map(|c| c.name()).collect(),
        sources: report.sources.iter().map(crate::json::SourceJson::new).collect(),
    };
    // Strings and numbers only: this cannot fail.
    let mut text = serde_json::to_string_pretty(&document).unwrap_or_default();
    text.push('\n');
    text
}

fn markdown(report: &Report) -> String {
    let mut out = format!("# What these logs can show\n\nLooked at {}.\n\n", prose(&looked_at(report)));
    let hidden = hidden(&report.audit);
    if !hidden.is_empty() {
        let _ = writeln!(out, "| cause that they could not show, or not for sure | change | surer with |\n|---|---|---|");
        for h in &hidden {
            let Some((first, others)) = h.changes.split_first() else { continue };
            let what = report.audit.get(first - 1).map_or("", |item| &item.what);
            let others = others.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            let _ = writeln!(out, "| **{}** | {first}: {} | {others} |", h.cause, prose(what));
        }
        let _ = writeln!(out, "\n## Changes\n");
        for (n, item) in (1..).zip(&report.audit) {
            let _ = writeln!(out, "{n}. {}: {} — hides {}", prose(&place(item)), prose(&item.what), prose(&item.hides));
            for line in item.paste.lines() {
                let _ = writeln!(out, "   {}", code(line));
            }
        }
        out.push('\n');
    }
    let shown = shown(&report.audit);
    if !shown.is_empty() {
        let _ = writeln!(out, "Nothing hides: {}.", names(&shown));
    }
    let _ = writeln!(out, "\n| source | clock | covers (UTC) |\n|---|---|---|");
    for s in &report.sources {
        let _ = writeln!(out, "| {} | {} | {} |", code(&s.info.name).replace('|', "\\|"), prose(&s.clock), prose(&words::covers(s)));
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::example;

    #[test]
    fn each_hidden_cause_names_one_change_and_its_line() {
        let report = example::report();
        let text = audit(&report, AuditFormat::Text { width: 80, color: false }, &RenderOptions::default());
        assert!(text.contains("keepalive-race       change 1: web1: nginx access log without"), "{text}");
        assert!(
            text.contains("\n         log_format cfray '$remote_addr $http_cf_ray [$time_local] \"$request\" $status $bytes_sent';\n"),
            "{text}"
        );
        assert!(text.contains("Nothing hides: worker-crash,"), "{text}");
        let json: serde_json::Value = serde_json::from_str(&audit(&report, AuditFormat::Json, &RenderOptions::default())).unwrap();
        assert_eq!(json["causes"][0]["change"], 1);
        assert_eq!(json["changes"][0]["causes"], serde_json::json!(["keepalive-race", "rule-dropped"]));
        assert!(json["causes"][0]["paste"].as_str().unwrap().starts_with("log_format"));
        let md = audit(&report, AuditFormat::Markdown, &RenderOptions::default());
        assert!(md.contains("| **keepalive-race** | 1: nginx access log without $http\\_cf\\_ray |"), "{md}");
    }

    #[test]
    fn hostile_names_are_inert() {
        let mut report = example::report();
        report.audit[0].server = "web\u{1b}[2J|1".to_owned();
        for format in [AuditFormat::Text { width: 60, color: false }, AuditFormat::Json, AuditFormat::Markdown] {
            assert!(!audit(&report, format, &RenderOptions::default()).contains('\u{1b}'), "{format:?}");
        }
    }
}
