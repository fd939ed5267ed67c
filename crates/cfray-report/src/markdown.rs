//! The summary for chat and tickets.

use crate::escape::visible;
use crate::view::View;
use crate::words::{self, count, number, percent, span, sure};
use crate::{RenderOptions, ReportError};
use cfray_model::Cause;
use cfray_model::report::{Episode, Report};
use std::fmt::Write as _;
use std::io::Write;

/// Rows listed; the others are in the other reports.
const ROWS: usize = 20;
/// Episodes listed.
const EPISODES: usize = 10;

/// Writes the page.
pub fn render(view: &View<'_>, _: &RenderOptions, out: &mut dyn Write) -> Result<(), ReportError> {
    let mut page = String::new();
    // Writing to a String cannot fail.
    let _ = draw(view, &mut page);
    out.write_all(page.as_bytes())?;
    Ok(())
}

fn draw(view: &View<'_>, page: &mut String) -> std::fmt::Result {
    let report = &view.head;
    writeln!(page, "# Cloudflare {}\n", words::incidents(&report.meta.statuses, 2))?;
    writeln!(page, "**{}**\n", prose(&report.headline))?;
    read(report, page)?;
    if !report.causes.is_empty() {
        causes(report, page)?;
        episodes(report, page)?;
        endpoints(report, page)?;
        fixes(report, page)?;
        rows(view, page)?;
    }
    if !report.edge.neighbours.is_empty() {
        writeln!(page, "## Other answers of Cloudflare's, not counted above\n\n| status | cause | count | meaning |\n|---|---|---:|---|")?;
        for (status, cause, n) in &report.edge.neighbours {
            writeln!(page, "| {status} | {cause} | {} | {} |", number(*n), words::neighbour(*cause))?;
        }
        writeln!(page)?;
    }
    if !report.audit.is_empty() {
        writeln!(page, "## What these logs could not show\n")?;
        for item in &report.audit {
            let place = if item.server.is_empty() { String::new() } else { format!("{}: ", prose(&item.server)) };
            writeln!(page, "* {place}{} — {}", prose(&item.what), prose(&item.hides))?;
            if !item.paste.is_empty() {
                writeln!(page, "  {}", code(&item.paste))?;
            }
        }
        writeln!(page)?;
    }
    configuration(report, page)?;
    let inputs: Vec<String> = report.meta.inputs.iter().map(|input| code(input)).collect();
    let options = if report.meta.options.is_empty() {
        String::new()
    } else {
        format!(" with {}", report.meta.options.iter().map(|o| code(o)).collect::<Vec<_>>().join(", "))
    };
    writeln!(page, "Made by cfray {} from {}{options}.", prose(&report.meta.version), inputs.join(", "))
}

fn configuration(report: &Report, page: &mut String) -> std::fmt::Result {
    if report.config.is_empty() {
        return Ok(());
    }
    writeln!(page, "## Server configuration\n\n{}\n", words::config_read(&report.config))?;
    for f in &report.config.findings {
        writeln!(page, "* **{}** ({}) — {}", prose(&f.what), f.weight.name(), prose(&words::config_place(f)))?;
        if !f.directive.is_empty() {
            writeln!(page, "  {}", code(&f.directive))?;
        }
        writeln!(page, "  {} Causes: {}.", prose(&f.why), words::config_causes(f))?;
        writeln!(page, "  Fix: {}", prose(&f.fix))?;
    }
    for p in words::config_problems(&report.config) {
        writeln!(page, "* Not read: {}", prose(&p))?;
    }
    writeln!(page)
}

fn read(report: &Report, page: &mut String) -> std::fmt::Result {
    let c = &report.edge.counters;
    let ties: Vec<String> =
        report.edge.ties.iter().filter(|(_, n)| *n > 0).map(|(name, n)| format!("{} {}", prose(name), number(*n))).collect();
    writeln!(
        page,
        "{} read ({} log), {} UTC; {} counted{}.\n",
        count(c.rows, "request"),
        prose(&report.edge.kind),
        span(c.first, c.last),
        number(report.edge.incidents),
        if ties.is_empty() { String::new() } else { format!(", tied by {}", ties.join(", ")) }
    )?;
    for note in &report.meta.notes {
        writeln!(page, "> {}\n", prose(note))?;
    }
    writeln!(
        page,
        "<details><summary>{} read, {} skipped</summary>\n",
        count(report.sources.len() as u64, "source"),
        number(report.skipped.len() as u64)
    )?;
    writeln!(page, "| source | format | server | lines | rejected | clock | covers (UTC) |\n|---|---|---|---:|---:|---|---|")?;
    for s in &report.sources {
        writeln!(
            page,
            "| {} | {} | {} | {} | {} | {} | {} |",
            code_cell(&s.info.name),
            prose(&s.info.format),
            prose(&s.info.server),
            number(s.lines),
            number(s.rejected),
            prose(&s.clock),
            prose(&words::covers(s))
        )?;
    }
    for s in &report.skipped {
        let hint = if s.hint.is_empty() { String::new() } else { format!(" ({})", prose(&s.hint)) };
        writeln!(page, "| {} | {}{}{hint} | | | | | |", code_cell(&s.name), if s.failed { "**failed**: " } else { "" }, prose(&s.what))?;
    }
    writeln!(page, "\n</details>\n")
}

fn causes(report: &Report, page: &mut String) -> std::fmt::Result {
    let total: u64 = report.causes.iter().map(|c| c.count).sum();
    writeln!(page, "## Causes\n\n| cause | count | share | sure | |\n|---|---:|---:|---:|---|")?;
    for c in &report.causes {
        let sure = if c.cause == Cause::Unknown { String::new() } else { sure(c.confidence) };
        writeln!(page, "| **{}** | {} | {} | {sure} | {} |", c.cause, number(c.count), percent(c.count, total), prose(&c.says))?;
    }
    writeln!(page)
}

fn episodes(report: &Report, page: &mut String) -> std::fmt::Result {
    if report.episodes.is_empty() {
        return Ok(());
    }
    writeln!(page, "## Episodes\n")?;
    for episode in report.episodes.iter().take(EPISODES) {
        one_episode(episode, page)?;
    }
    if report.episodes.len() > EPISODES {
        writeln!(page, "And {} smaller ones.\n", number((report.episodes.len() - EPISODES) as u64))?;
    }
    Ok(())
}

fn one_episode(episode: &Episode, page: &mut String) -> std::fmt::Result {
    let cause = episode.cause.unwrap_or(Cause::Unknown);
    let requests = if episode.requests > 0 { format!(" of {} requests", number(episode.requests)) } else { String::new() };
    writeln!(page, "### {}. {cause}, {} UTC\n", episode.number, span(episode.from, episode.to))?;
    write!(
        page,
        "{}{requests}, at most {} a minute, {}",
        number(episode.count),
        number(episode.peak_per_minute),
        count(episode.clients, "client")
    )?;
    for (label, list) in [("hosts", &episode.hosts), ("paths", &episode.paths), ("colos", &episode.colos)] {
        if !list.is_empty() {
            let names: Vec<String> = list.iter().map(|(name, n)| format!("{} ({})", code(name), number(*n))).collect();
            write!(page, "; {label}: {}", names.join(", "))?;
        }
    }
    writeln!(page, ". Sure {}.\n", sure(episode.confidence))?;
    for line in &episode.decisive {
        writeln!(page, "* {}", code(line))?;
    }
    writeln!(page)
}

fn endpoints(report: &Report, page: &mut String) -> std::fmt::Result {
    if report.endpoints.is_empty() {
        return Ok(());
    }
    writeln!(page, "## Endpoints hit most\n\n| endpoint | count | of | cause |\n|---|---:|---:|---|")?;
    for e in &report.endpoints {
        let total = e.total.map(number).unwrap_or_default();
        writeln!(page, "| {} | {} | {total} | {} |", code_cell(&e.name), number(e.count), e.cause.unwrap_or(Cause::Unknown))?;
    }
    writeln!(page)
}

fn fixes(report: &Report, page: &mut String) -> std::fmt::Result {
    writeln!(page, "## What to do\n")?;
    for c in &report.causes {
        writeln!(page, "**{}**\n", c.cause)?;
        let roles = [
            ("Server", &c.fix_admin),
            ("Site owner", &c.fix_owner),
            ("Developer", &c.fix_developer),
            ("Client", &c.fix_client),
            ("To be surer", &c.check),
        ];
        for (who, fix) in roles {
            if !fix.is_empty() {
                writeln!(page, "* {who}: {}", prose(fix))?;
            }
        }
        writeln!(page)?;
    }
    Ok(())
}

fn rows(view: &View<'_>, page: &mut String) -> std::fmt::Result {
    writeln!(page, "## Requests\n\n| time (UTC) | ray | request | cause | sure |\n|---|---|---|---|---:|")?;
    for row in view.rows().take(ROWS) {
        let e = &row.edge;
        let request =
            format!("{} {}{}", e.method.as_deref().unwrap_or("?"), e.host.as_deref().unwrap_or_default(), e.uri.as_deref().unwrap_or("?"));
        let ray = e.ray.map(|ray| ray.to_string()).unwrap_or_default();
        let time = e.start.map(words::moment).unwrap_or_default();
        writeln!(page, "| {time} | {ray} | {} | {} | {} |", code_cell(&request), row.verdict.cause, sure(row.verdict.confidence))?;
    }
    if view.len() > ROWS {
        writeln!(page, "\nAnd {} more.", number((view.len() - ROWS) as u64))?;
    }
    writeln!(page)
}

/// Text in which no character is markup.
pub(crate) fn prose(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in visible(text).chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '#' | '!' => {
                out.push('\\');
                out.push(c);
            }
            // Chat programs turn these into mentions and links.
            '@' => out.push_str("&#64;"),
            _ => out.push(c),
        }
    }
    out
}

/// A code span: its fence is longer than any run of backticks inside.
pub(crate) fn code(text: &str) -> String {
    let text = visible(text);
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    let pad = if text.is_empty() || text.starts_with(['`', ' ']) || text.ends_with(['`', ' ']) { " " } else { "" };
    format!("{fence}{pad}{text}{pad}{fence}")
}

/// In a table a bar ends the cell even inside code.
fn code_cell(text: &str) -> String {
    code(text).replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{OutputFormat, example, render as render_as};

    fn markdown(report: &Report) -> String {
        let mut out = Vec::new();
        render_as(report, OutputFormat::Markdown, &RenderOptions::default(), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn as_written() {
        insta::assert_snapshot!(markdown(&example::report()));
    }

    #[test]
    fn with_nothing_found() {
        insta::assert_snapshot!(markdown(&example::empty()));
    }

    #[test]
    fn markup_is_inert() {
        assert_eq!(prose("a*b_<c>|`@joe"), "a\\*b\\_&lt;c&gt;\\|\\`&#64;joe");
        assert_eq!(code("a `` b"), "```a `` b```");
        assert_eq!(code("`"), "`` ` ``");
        let text = markdown(&example::report());
        assert!(!text.contains("hunter2") && !text.contains('\x1b') && !text.contains('\u{202e}'));
    }
}
