//! The story as text.

use super::timeline::{Entry, Link};
use super::{Story, failed, send, shown};
use crate::commands::explain;
use crate::text::{self, Paint};
use cfray_causes::join::Span;
use cfray_model::report::Row;
use cfray_model::{Cause, EvidenceKind, Stamp, Text};
use cfray_report::Masker;

/// Longest text of a line that is shown, in characters.
const LINE: usize = 400;

/// Everything.
pub fn story(story: &Story, masker: &Masker, width: usize, paint: Paint) -> String {
    let mut out = format!("{} {}\n", paint.heading("Ray"), paint.name(&story.ray.to_string()));
    if story.rows.is_empty() {
        out.push_str(&no_row(story, width));
    }
    for row in &story.rows {
        out.push_str(&facts(row, masker, width));
    }
    if !story.entries.is_empty() {
        out.push_str(&format!("\n{}\n", paint.heading("Timeline (UTC)")));
        let zero = zero(&story.entries);
        for entry in &story.entries {
            out.push_str(&step(entry, zero, masker, width, paint));
        }
        if story.entries.iter().any(|entry| entry.utc.is_none()) {
            let note = "Times in brackets are as logged: the clock of that file is not known. --tz GLOB=ZONE tells it.";
            out.push_str(&text::wrap(note, width, "  "));
        }
    }
    if !story.mentions.is_empty() {
        out.push_str(&format!("\n{}\n", paint.heading("The ray also stands in (a hint, no proof)")));
        for entry in &story.mentions {
            out.push_str(&text::hang(&line(entry, masker), width, "  ", "    "));
        }
    }
    if story.rows.is_empty() && !story.entries.is_empty() {
        out.push_str(&suggestion(story, width, paint));
    }
    for row in &story.rows {
        out.push_str(&if failed(row) { verdict(story, row, masker, width, paint) } else { no_failure(row, width, paint) });
    }
    for note in &story.notes {
        out.push_str(&text::hang(&shown(masker, note), width, "Note: ", "  "));
    }
    out
}

fn no_row(story: &Story, width: usize) -> String {
    let nowhere = story.entries.is_empty() && story.mentions.is_empty();
    let logs = if story.looked_at == 1 { "the log".to_owned() } else { format!("any of the {} logs", story.looked_at) };
    let text = match (nowhere, story.has_edge) {
        (true, true) => format!(
            "is not in {logs}. Logpush may not have delivered that minute yet (or the job leaves this host out), and the origin logs may be \
             rotated away or be without the ray: nginx needs `$http_cf_ray` in log_format, Apache `%{{CF-RAY}}i` in LogFormat."
        ),
        (true, false) => format!(
            "is not in {logs}. Either the request never reached this server, or its logs do not carry the ray: nginx needs \
             `$http_cf_ray` in log_format, Apache `%{{CF-RAY}}i` in LogFormat."
        ),
        (false, true) => "Cloudflare's logs have no row of it: Logpush may not have delivered that minute yet.".to_owned(),
        (false, false) => "No Logpush data was given, so what Cloudflare answered is not known.".to_owned(),
    };
    text::wrap(&text, width, "  ")
}

/// What the origin's lines suggest where no row of Cloudflare's says how the request ended.
fn suggestion(story: &Story, width: usize, paint: Paint) -> String {
    let status = story.access_status;
    let first = match status {
        Some(444) => "The access line says 444: the server closed the connection without an answer, which Cloudflare shows as 520. Why it \
            closed, an error line of the same request says, or a rule with `return 444`."
            .to_owned(),
        Some(0 | 9) => "The access line says that no valid answer was sent, which Cloudflare shows as 520.".to_owned(),
        Some(499) => {
            "The access line says 499: the other side went away before the answer. Cloudflare does that after its own time limit or when \
            the visitor leaves; it is no 520 of the server's making."
                .to_owned()
        }
        Some(status @ 100..=599) => format!(
            "The access line says {status}. Taken as it stands the server answered, and this was no 520; yet a status in a log is no proof of \
             what was sent (headers over Cloudflare's limit, a proxied close that is logged as 502)."
        ),
        _ => "No access line of this request was found, so the server either never saw it, closed before it could log, or its access log \
            was not given or has no rays."
            .to_owned(),
    };
    let mut lines = vec![first];
    lines.extend(
        story
            .signs
            .iter()
            .map(|cause| format!("Its lines are such as stand at {cause}; `cfray explain {cause}` says what else belongs to it.")),
    );
    lines.push(
        "No verdict: without Cloudflare's row neither the status it answered nor the moment of failure is known. Add the Logpush data of that \
         minute, or `cfray analyze --rays FILE` with the ray and its time."
            .to_owned(),
    );
    let text: String = lines.iter().map(|l| text::wrap(l, width, "  ")).collect();
    format!("\n{}\n{text}", paint.heading("What the lines suggest"))
}

/// What the edge row says.
fn facts(row: &Row, masker: &Masker, width: usize) -> String {
    let edge = &row.edge;
    let mut out = String::new();
    let mut add = |name: &str, value: String| {
        if !value.trim().is_empty() {
            out.push_str(&text::hang(&value, width, &format!("  {name:<12}"), "              "));
        }
    };
    let text = |value: &Option<Text>| value.as_deref().map(|v| shown(masker, v)).unwrap_or_default();
    let address = |value: &Option<Text>| value.as_deref().map(|v| masker.address(v).into_owned()).unwrap_or_default();
    if let (Some(own), Some(parent)) = (edge.ray, edge.parent_ray) {
        add("subrequest", format!("{own} of {parent}"));
    }
    let host = text(&edge.host);
    let url = if host.is_empty() { text(&edge.uri) } else { format!("https://{host}{}", text(&edge.uri)) };
    add("request", format!("{} {url}", text(&edge.method)));
    let asn = edge.client_asn.map(|asn| format!("AS{asn}")).unwrap_or_default();
    add(
        "client",
        [address(&edge.client_ip), asn, text(&edge.client_country), text(&edge.user_agent)]
            .into_iter()
            .filter(|s| !s.is_empty())
            .collect::<Vec<_>>()
            .join(", "),
    );
    let origin_status = edge.origin_status.map(|s| format!(", origin {s}")).unwrap_or_default();
    add(
        "status",
        format!("edge {}{origin_status}{}", edge.edge_status, edge.cache.as_ref().map(|c| format!(", cache {c}")).unwrap_or_default()),
    );
    let gap = row.idle_gap_s.map(|gap| format!(", idle for {gap:.3} s before")).unwrap_or_default();
    let way = match row.connection {
        "" => String::new(),
        "none" => "origin not contacted".to_owned(),
        kind => format!("{kind} connection{gap}"),
    };
    let path = [text(&edge.colo), address(&edge.edge_ip), address(&edge.origin_ip)]
        .into_iter()
        .filter(|s| !s.is_empty())
        .collect::<Vec<_>>()
        .join(" > ");
    add("way", [path, way].into_iter().filter(|s| !s.is_empty()).collect::<Vec<_>>().join(", "));
    let ms = |name: &str, value: Option<i64>| value.map(|v| format!("{name} {v} ms"));
    let times = [ms("TCP", edge.tcp_ms), ms("TLS", edge.tls_ms), ms("header", edge.header_ms), ms("total", edge.duration_ms)];
    add("at origin", times.into_iter().flatten().collect::<Vec<_>>().join(", "));
    add("server", shown(masker, &row.server));
    add("edge row", shown(masker, &row.source.to_string()));
    let retry = match (row.retry, row.cleared_after_s) {
        ("cleared", Some(s)) => format!("a later request succeeded after {s:.1} s"),
        ("cleared", None) => "a later request succeeded".to_owned(),
        ("persisted", _) => "later requests failed, too".to_owned(),
        _ => String::new(),
    };
    add("retry", retry);
    out
}

/// The start at the edge, else the first line with a known time.
fn zero(entries: &[Entry]) -> Option<i64> {
    let edge = entries.iter().find(|entry| entry.link == Link::Edge && entry.utc.is_some());
    edge.or_else(|| entries.iter().find(|entry| entry.utc.is_some())).and_then(|entry| Some(best(entry.utc?, entry.link)))
}

/// The instant that stands for an interval: Cloudflare's stamps as written, of others the middle.
const fn best(span: Span, link: Link) -> i64 {
    match link {
        Link::Edge => span.lo,
        _ => span.mid(),
    }
}

/// Half the width of an interval in seconds, where it is worth telling.
fn error(span: Span, link: Link) -> Option<f64> {
    let half = (span.hi - span.lo) as f64 / 2e9;
    (half >= 0.05 && link != Link::Edge).then_some(half)
}

/// The time, without digits that the stamp does not have.
fn moment(span: Span, link: Link) -> String {
    let text = clock(best(span, link));
    match (error(span, link), text.split_once('.')) {
        (Some(_), Some((seconds, _))) => format!("{seconds}Z    "),
        _ => text,
    }
}

fn step(entry: &Entry, zero: Option<i64>, masker: &Masker, width: usize, paint: Paint) -> String {
    let when = match (entry.utc, entry.stated) {
        (Some(span), _) => {
            format!("{} {:>8}", moment(span, entry.link), zero.map(|zero| offset(span, entry.link, zero)).unwrap_or_default())
        }
        (None, Some(stated)) => format!("[{}]", clock(stated).trim_end_matches('Z')),
        (None, None) => "(no time)".to_owned(),
    };
    let how = if entry.link == Link::Edge { String::new() } else { format!(", {}", entry.link.word()) };
    let who = shown(masker, &entry.who);
    let mut out = format!("  {}  {}{}\n", paint.faint(&when), paint.name(&who), paint.faint(&how));
    let body = if entry.link == Link::Edge { shown(masker, &entry.text) } else { line(entry, masker) };
    out.push_str(&text::wrap(&body, width, "      "));
    out
}

fn line(entry: &Entry, masker: &Masker) -> String {
    let text = shown(masker, &entry.text);
    format!("{}: {}", shown(masker, &entry.place), cfray_report::escape::clip(&text, LINE))
}

/// Date and time of day.
fn clock(ns: i64) -> String {
    Stamp(ns).to_rfc3339_ms()
}

/// `+26 ms`, `+12.3 s`; `+0.5 s ±0.5 s` where the stamp is coarse.
fn offset(span: Span, link: Link, zero: i64) -> String {
    let ms = (best(span, link) - zero).div_euclid(1_000_000);
    let sign = if ms < 0 { '-' } else { '+' };
    let error = error(span, link);
    let size = match ms.unsigned_abs() {
        ms if ms < 10_000 && error.is_none() => format!("{ms} ms"),
        ms if ms < 600_000 => format!("{:.1} s", ms as f64 / 1000.0),
        ms => format!("{} min", ms / 60_000),
    };
    format!("{sign}{size}{}", error.map(|half| format!(" ±{half:.1} s")).unwrap_or_default())
}

fn verdict(story: &Story, row: &Row, masker: &Masker, width: usize, paint: Paint) -> String {
    let verdict = &row.verdict;
    let mut out = format!("\n{}: {}, confidence {:.2}", paint.heading("Verdict"), paint.name(verdict.cause.name()), verdict.confidence);
    if let Some((cause, confidence)) = verdict.runner_up {
        out.push_str(&format!(" (else {cause}, {confidence:.2})"));
    }
    out.push('\n');
    // Below 0.5 the best guess is what a reader can act on.
    let guess = if verdict.cause == Cause::Unknown { verdict.runner_up.map(|(cause, _)| cause) } else { None };
    let doc = cfray_causes::doc(verdict.cause);
    out.push_str(&text::wrap(doc.map_or("", |doc| doc.says), width, "  "));
    if !verdict.evidence.is_empty() {
        out.push_str(&format!("\n{}\n", paint.heading("Evidence")));
    }
    for (number, item) in (1..).zip(&verdict.evidence) {
        let place = match (item.kind, item.line) {
            (EvidenceKind::Line | EvidenceKind::Config, Some(line)) => format!("{}:{line}: ", item.source),
            _ => String::new(),
        };
        let text = shown(masker, &format!("{place}{}", item.text));
        out.push_str(&text::hang(&cfray_report::escape::clip(&text, LINE + 100), width, &format!("  {number}. "), "     "));
    }
    if !verdict.missing.is_empty() {
        out.push_str(&format!("\n{}\n", paint.heading("To be surer, this would have been needed")));
        for item in &verdict.missing {
            out.push_str(&text::hang(&shown(masker, item), width, "  - ", "    "));
        }
    }
    if let Some(doc) = doc {
        out.push_str(&format!("\n{}\n", paint.heading("What to do")));
        for (role, fix) in explain::roles(&doc) {
            if !fix.is_empty() {
                out.push_str(&format!("  {role}\n{}", text::wrap(fix, width, "    ")));
            }
        }
        let unsure = verdict.confidence < 0.7 || verdict.cause == Cause::Unknown;
        let check = guess.and_then(cfray_causes::doc).map_or(doc.check, |guess| guess.check);
        if unsure && !check.is_empty() {
            out.push_str(&format!("\n{}\n{}", paint.heading("One check that settles it"), text::wrap(check, width, "  ")));
        }
    }
    out.push_str(&format!("\n{}\n", paint.heading(&format!("To send to {}", send::addressee(row)))));
    for (name, value) in send::block(story, row, masker) {
        out.push_str(&text::hang(&value, width, &format!("  {name:<11}"), "             "));
    }
    out
}

fn no_failure(row: &Row, width: usize, paint: Paint) -> String {
    let status = row.edge.edge_status;
    let text = match status {
        0..=399 => format!("Cloudflare answered {status}: nothing failed at the edge."),
        499 => {
            "The client went away before the answer (499): nothing failed between Cloudflare and the origin that this row shows.".to_owned()
        }
        400..=499 => {
            format!("Cloudflare answered {status}: an answer to the client's request, no failure between Cloudflare and the origin.")
        }
        _ => format!("Cloudflare answered {status}, which is no 520: a valid answer of the origin, unless Cloudflare made it itself."),
    };
    format!("\n{}\n{}", paint.heading("Verdict"), text::wrap(&text, width, "  "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_short_and_say_when_they_are_rough() {
        let ms = |ms: i64| ms * 1_000_000;
        let exact = |at: i64| offset(Span { lo: ms(at), hi: ms(at) }, Link::Ray, 0);
        assert_eq!([exact(26), exact(-3), exact(12_340), exact(3_600_000)], ["+26 ms", "-3 ms", "+12.3 s", "+60 min"]);
        let coarse = Span { lo: 0, hi: ms(1000) };
        assert_eq!(offset(coarse, Link::Ray, ms(900)), "-0.4 s ±0.5 s");
        assert_eq!(moment(coarse, Link::Ray), "1970-01-01T00:00:00Z    ");
        assert_eq!(moment(coarse, Link::Edge), "1970-01-01T00:00:00.000Z");
    }
}
