//! What the bundle holds and how it was made.

use super::archive::Member;
use super::lines::MOST;
use cfray_model::Stamp;
use cfray_report::RenderOptions;
use cfray_report::escape::visible;
use cfray_report::view::View;

/// What each member is, by the beginning of its name.
const ABOUT: &[(&str, &str)] = &[
    ("ticket-for-the-host", "what to send to whoever runs the server"),
    ("ticket-for-cloudflare", "what to send to Cloudflare's support"),
    ("rays", "every request: ray, UTC times, addresses, finding"),
    ("origin/lines", "the origin's lines that are tied to them"),
    ("origin/", "those lines in their file, with the lines around them"),
    ("report/report.html", "the report to look at (opens from disk, needs no network)"),
    ("report/report.csv", "the report, one row a request"),
    ("report/report.json", "the report for scripts"),
    ("report/report.md", "the report for chat and tickets"),
    ("how-it-was-made", "version, options, logs with their clocks, what they could not show"),
];

/// `README.txt`.
pub fn readme(members: &[Member], render: &RenderOptions) -> String {
    let mut out = String::from("Requests that Cloudflare answered with an error, and what the origin's logs say about them.\n\n");
    let width = members.iter().map(|m| m.name.chars().count()).max().unwrap_or(0);
    for member in members {
        let about = ABOUT.iter().find(|(start, _)| member.name.starts_with(start)).map_or("", |(_, about)| about);
        out.push_str(&format!("  {:<width$}  {about}\n", member.name));
    }
    out.push_str(match (render.redact.is_some(), render.show_secrets) {
        (true, _) => {
            "\nSecrets are masked (***). Addresses (ip-...) and query values (v-...) are pseudonyms: the same in every file here, \
             and under a key that was made for this archive and is kept nowhere.\n"
        }
        (false, true) => "\nSecrets are NOT masked: this was made with --show-secrets.\n",
        (false, false) => "\nSecrets are masked (***). Addresses and query values stand as logged.\n",
    });
    out
}

/// `how-it-was-made.txt`.
pub fn made(view: &View<'_>, left_out: usize) -> String {
    let head = &view.head;
    let mut out = String::new();
    let mut line = |indent: usize, text: &str| {
        let (gap, text) = text.strip_prefix('\n').map_or(("", text), |rest| ("\n", rest));
        out.push_str(gap);
        out.push_str(&" ".repeat(indent));
        out.push_str(&visible(text));
        out.push('\n');
    };
    line(0, &format!("cfray {}", head.meta.version));
    line(0, &format!("inputs: {}", head.meta.inputs.join(" ")));
    for text in
        head.meta.options.iter().map(|option| format!("option: {option}")).chain(head.meta.notes.iter().map(|n| format!("note: {n}")))
    {
        line(0, &text);
    }
    if !head.meta.input_note.is_empty() {
        line(0, &head.meta.input_note);
    }
    if left_out > 0 {
        line(0, &format!("origin/ holds {MOST} tied lines; {left_out} more are left out"));
    }
    line(0, "\nLogs");
    for source in &head.sources {
        let info = &source.info;
        let server = if info.server.is_empty() { String::new() } else { format!(", server {}", info.server) };
        line(2, &format!("{}: {}{server}, {} lines, {} rejected", info.name, info.format, source.lines, source.rejected));
        let time = |stamp: Option<Stamp>| stamp.map(Stamp::to_rfc3339_ms).unwrap_or_default();
        if source.first.is_some() || source.last.is_some() {
            line(4, &format!("from {} to {}", time(source.first), time(source.last)));
        }
        for (from, to) in &source.gaps {
            line(4, &format!("nothing from {} to {}", from.to_rfc3339_ms(), to.to_rfc3339_ms()));
        }
        if !source.clock.is_empty() {
            line(4, &format!("clock: {}", source.clock));
        }
        for reject in &source.rejects {
            line(4, &format!("rejected line {}: {}", reject.at.line, reject.reason));
        }
    }
    if !head.skipped.is_empty() {
        line(0, "\nNot read");
    }
    for skip in &head.skipped {
        line(2, &format!("{}: {}", skip.name, skip.what));
    }
    if !head.audit.is_empty() {
        line(0, "\nWhat these logs could not show");
    }
    for item in &head.audit {
        let place = if item.server.is_empty() { String::new() } else { format!("{}: ", item.server) };
        line(2, &format!("{place}{}: hides {}", item.what, item.hides));
        for paste in item.paste.lines() {
            line(6, paste);
        }
    }
    out
}
