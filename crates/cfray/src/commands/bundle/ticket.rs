//! The two letters: to whoever runs the server, and to Cloudflare.

use super::rays::{ray, url};
use cfray_model::report::{CauseSummary, Report, Row};
use cfray_model::{Cause, EvidenceKind, Family, Stamp, Text};
use cfray_report::escape::visible;
use cfray_report::view::View;

/// Requests shown of each cause.
const EXAMPLES: usize = 5;
/// Width of the text.
const WIDTH: usize = 100;

/// Does it point at Cloudflare's side?
fn at_edge(cause: Cause) -> bool {
    cause.family() == Family::Edge
}

/// For the host or the server's administrator.
pub fn host(view: &View<'_>) -> String {
    let head = &view.head;
    let mut out = String::from("Subject: Cloudflare answers 520 for our site; findings from its logs and the server's\n\n");
    opening(&mut out, head);
    out.push_str(
        "A 520 means that Cloudflare reached the origin server and got no valid HTTP response from it. Below: what was found, the\n\
         decisive lines of the server's own logs, and what to do. Times are UTC. origin/ holds the lines with what stands around\n\
         them, rays.csv every request.\n",
    );
    for cause in head.causes.iter().filter(|c| !at_edge(c.cause)) {
        finding(&mut out, cause, view, true);
    }
    if head.causes.iter().all(|c| at_edge(c.cause)) && !head.causes.is_empty() {
        out.push_str("\nNothing here points at the server: see ticket-for-cloudflare.txt.\n");
    }
    missing(&mut out, head);
    out
}

/// For Cloudflare's support.
pub fn cloudflare(view: &View<'_>) -> String {
    let head = &view.head;
    let theirs: Vec<&CauseSummary> = head.causes.iter().filter(|c| at_edge(c.cause)).collect();
    let open: Vec<&CauseSummary> = head.causes.iter().filter(|c| c.cause == Cause::Unknown).collect();
    let mut out = String::from("Subject: error 520 with ray IDs, UTC times and the origin's logs\n\n");
    opening(&mut out, head);
    if theirs.is_empty() && open.is_empty() {
        out.push_str(
            "\nNone of these points at Cloudflare: the origin's own logs explain them. Send ticket-for-the-host.txt to whoever runs\n\
             the server first; Cloudflare's support would ask for that.\n",
        );
        return out;
    }
    if theirs.is_empty() {
        out.push_str(
            "\nThe logs do not tell what happened to the requests below. Send ticket-for-the-host.txt first; send this if the server\n\
             never saw them.\n",
        );
    }
    for cause in theirs.into_iter().chain(open) {
        finding(&mut out, cause, view, false);
    }
    out.push_str(
        "\nSupport also asks for (add them, they cannot be made from logs):\n\
         \x20 - the output of https://YOUR-HOST/cdn-cgi/trace from a client that sees the error\n\
         \x20 - two HAR files of the failing page: through Cloudflare, and with the record set to DNS only\n",
    );
    out
}

fn opening(out: &mut String, head: &Report) {
    line(out, &head.headline);
    let hosts = head.breakdowns.iter().find(|b| b.dimension == "host").map(|b| b.values.as_slice()).unwrap_or_default();
    let named: Vec<String> = hosts.iter().take(EXAMPLES).map(|host| format!("{} ({})", host.name, host.count)).collect();
    if !named.is_empty() {
        line(out, &format!("Hosts: {}", named.join(", ")));
    }
}

fn finding(out: &mut String, cause: &CauseSummary, view: &View<'_>, fixes: bool) {
    line(out, &format!("\n== {}: {} requests, confidence {:.2}", cause.cause, cause.count, cause.confidence));
    line(out, &cause.says);
    let mut rows: Vec<Row> = Vec::new();
    // The surest of each cause, in order of time.
    for row in view.rows().filter(|row| row.counted && row.verdict.cause == cause.cause) {
        rows.push(row.into_owned());
        if rows.len() > EXAMPLES {
            let least = rows
                .iter()
                .enumerate()
                .min_by(|a, b| a.1.verdict.confidence.total_cmp(&b.1.verdict.confidence).then_with(|| b.0.cmp(&a.0)));
            if let Some(at) = least.map(|(at, _)| at) {
                rows.remove(at);
            }
        }
    }
    for row in &rows {
        request(out, row);
    }
    if cause.count > rows.len() as u64 {
        line(out, &format!("  and {} more in rays.csv", cause.count - rows.len() as u64));
    }
    if fixes && !cause.fix_admin.is_empty() {
        line(out, &format!("To do: {}", cause.fix_admin));
    }
    if !cause.check.is_empty() {
        line(out, &format!("To check: {}", cause.check));
    }
}

fn request(out: &mut String, row: &Row) {
    let edge = &row.edge;
    let time = edge.start.map(Stamp::to_rfc3339_ms).unwrap_or_default();
    let part = |name: &str, value: &Option<Text>| value.as_deref().filter(|v| !v.is_empty()).map(|v| format!(", {name} {v}"));
    let ends = [part("from", &edge.edge_ip), part("to", &edge.origin_ip)].into_iter().flatten().collect::<String>();
    // One line a request: these are copied, and searched for.
    let method = edge.method.as_deref().unwrap_or_default();
    out.push_str(&visible(&format!("  {time}  {}  {method} {}{ends}", ray(row), url(row))));
    out.push('\n');
    for item in row.verdict.evidence.iter().take(2) {
        let place = match (item.kind, item.line) {
            (EvidenceKind::Line | EvidenceKind::Config, Some(number)) => format!("{}:{number}: ", item.source),
            _ => String::new(),
        };
        out.push_str(&visible(&format!("      {place}{}", item.text)));
        out.push('\n');
    }
}

fn missing(out: &mut String, head: &Report) {
    if head.audit.is_empty() {
        return;
    }
    out.push_str("\n== What the logs could not show, and what would\n");
    for item in &head.audit {
        let place = if item.server.is_empty() { String::new() } else { format!("{}: ", item.server) };
        line(out, &format!("{place}{}: hides {}", item.what, item.hides));
        for paste in item.paste.lines() {
            out.push_str(&format!("    {}\n", visible(paste)));
        }
    }
}

/// A paragraph. An empty line before it is kept.
fn line(out: &mut String, text: &str) {
    let (gap, text) = text.strip_prefix('\n').map_or(("", text), |rest| ("\n", rest));
    out.push_str(gap);
    out.push_str(&crate::text::wrap(&visible(text), WIDTH, if text.starts_with("  ") { "  " } else { "" }));
}
