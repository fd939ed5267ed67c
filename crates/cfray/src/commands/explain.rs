//! `cfray explain [CAUSE]`: what a cause means, its evidence, its fix.

use crate::args::ExplainArgs;
use crate::exit::{Failure, Outcome, Status};
use crate::text::{self, Paint};
use crate::values::fail_on;
use crate::{config, diag};
use cfray_causes::CauseDoc;
use cfray_causes::limits::{LIMITS, Limit};
use cfray_model::{Cause, Family};
use std::io::IsTerminal;

/// Prints one cause, or the table of all.
pub fn run(args: &ExplainArgs) -> Outcome<Status> {
    let paint = Paint(text::color(args.color.color.unwrap_or_default(), std::io::stdout().is_terminal()));
    let width = text::width();
    let config = config::find(args.config.as_deref(), args.no_config, &[])?.config;
    let own = config::causes(&config.cause);
    let out = match args.cause.as_deref() {
        None => table(&own, width, paint),
        Some(name) => {
            let cause = named(name, &own)?;
            let doc =
                cfray_causes::doc(cause).ok_or_else(|| Failure::new(format!("{cause} is not documented"), "this is a fault of cfray"))?;
            page(&doc, width, paint)
        }
    };
    diag::stdout(&out)?;
    Ok(Status::Done)
}

/// A cause by name, or the one that a status stands for.
fn named(name: &str, own: &[Cause]) -> Outcome<Cause> {
    let name = name.trim().to_ascii_lowercase();
    if let Some(cause) = Cause::from_name(&name).or_else(|| own.iter().find(|cause| cause.name() == name).copied()) {
        return Ok(cause);
    }
    match name.parse().ok() {
        Some(520) => Err(Failure::new("a 520 has many causes", "").help("`cfray explain` lists them; `cfray analyze` tells which it was")),
        Some(status) => Cause::of_status(status)
            .ok_or_else(|| Failure::new(format!("status {status} is not explained here"), "").help("521 to 527 and 530 are")),
        None => Err(Failure::new(fail_on::unknown_cause(&name, own), "")),
    }
}

/// Limits that the text about a cause relies on, by name. Where a limit changed, all its values are printed.
const LIMITS_OF: &[(Cause, &[&str])] = &[
    (Cause::HeadersTooLarge, &["cloudflare.response_header"]),
    (
        Cause::KeepaliveRace,
        &[
            "cloudflare.proxy_idle_timeout",
            "nginx.keepalive_timeout",
            "nginx.keepalive_timeout_packaged",
            "apache.keepalive_timeout",
            "node.keepalive_timeout",
        ],
    ),
    (Cause::ResponseTimeout, &["cloudflare.proxy_read_timeout", "cloudflare.proxy_read_timeout_max"]),
    (Cause::TimeoutKill, &["cloudflare.proxy_read_timeout", "fpm.request_terminate_timeout", "gunicorn.timeout"]),
    (Cause::ConnectTimeout, &["cloudflare.tcp_connect_timeout", "cloudflare.tcp_ack_timeout"]),
    (
        Cause::PoolExhausted,
        &["nginx.worker_connections", "apache.max_request_workers_prefork", "apache.max_request_workers_event", "fpm.max_children"],
    ),
    (Cause::Http2Fault, &["cloudflare.http2_idle_timeout", "nginx.http2_max_concurrent_streams"]),
    (
        Cause::RequestRejected,
        &[
            "cloudflare.request_header",
            "nginx.large_client_header_buffers",
            "nginx.large_client_header_buffer_size",
            "nginx.client_header_timeout",
            "nginx.client_body_timeout",
        ],
    ),
    (Cause::EdgeIpBlocked, &["fail2ban.bantime"]),
];

/// Every cause with its sentence, by family.
fn table(own: &[Cause], width: usize, paint: Paint) -> String {
    let column = Cause::ALL.iter().chain(own).map(|c| c.name().len()).max().unwrap_or(0) + 4;
    let mut out = text::wrap("Causes of a 520, and what its neighbours mean. `cfray explain CAUSE` tells all about one.", width, "");
    let mut family: Option<Family> = None;
    let mut causes: Vec<Cause> = Cause::ALL.iter().chain(own).copied().collect();
    causes.sort_by_key(|cause| cause.family());
    for cause in causes {
        if family != Some(cause.family()) {
            family = Some(cause.family());
            out.push_str(&format!("\n{}\n", paint.heading(cause.family().title())));
        }
        let says = cfray_causes::doc(cause).map_or("", |doc| doc.says);
        let text = text::wrap(says, width, &" ".repeat(column));
        let name = format!("{}{}", paint.name(cause.name()), " ".repeat(column.saturating_sub(2 + cause.name().len())));
        out.push_str(&format!("  {name}{}", text.get(column..).unwrap_or("\n")));
    }
    out
}

/// All that is known about one cause.
fn page(doc: &CauseDoc, width: usize, paint: Paint) -> String {
    let mut out = format!("{}  ({})\n\n", paint.heading(doc.cause.name()), doc.cause.family().title());
    out.push_str(&text::wrap(doc.says, width, ""));
    let mut part = |title: &str, body: &str| {
        if !body.is_empty() {
            out.push_str(&format!("\n{}\n{}", paint.heading(title), text::wrap(body, width, "  ")));
        }
    };
    let why = match doc.cause {
        Cause::Own(_) => "Where this comes from",
        cause if cause.family() == Family::Neighbour => "What happens",
        _ => "Why this gives a 520",
    };
    part(why, doc.why);
    part("Evidence required", doc.evidence);
    part("Not this cause when", doc.not_when);
    out.push_str(&format!("\n{}\n", paint.heading("What to do")));
    for (role, fix) in roles(doc) {
        if !fix.is_empty() {
            out.push_str(&format!("  {}\n{}", paint.name(role), text::wrap(fix, width, "    ")));
        }
    }
    let mut part = |title: &str, body: &str| {
        if !body.is_empty() {
            out.push_str(&format!("\n{}\n{}", paint.heading(title), text::wrap(body, width, "  ")));
        }
    };
    part("One check that settles it", doc.check);
    part("Often blamed, or out of date", doc.often_blamed);
    let limits: Vec<&Limit> = limits_of(doc.cause).collect();
    if !limits.is_empty() {
        out.push_str(&format!("\n{}\n", paint.heading("Limits that matter here")));
        for limit in limits {
            out.push_str(&text::hang(&limit_line(limit), width, "  ", "    "));
        }
    }
    if !doc.sources.is_empty() {
        out.push_str(&format!("\n{}\n", paint.heading("Sources")));
        for source in doc.sources {
            out.push_str(&text::hang(source, width, "  ", "    "));
        }
    }
    out
}

/// The fix for each reader.
pub fn roles(doc: &CauseDoc) -> [(&'static str, &'static str); 4] {
    [
        ("Site owner, without access to the server", doc.fix.owner),
        ("Server administrator", doc.fix.admin),
        ("Developer", doc.fix.developer),
        ("Client that met the error", doc.fix.client),
    ]
}

fn limits_of(cause: Cause) -> impl Iterator<Item = &'static Limit> {
    let names = LIMITS_OF.iter().filter(move |(of, _)| *of == cause).flat_map(|(_, names)| names.iter());
    names.flat_map(|name| LIMITS.iter().filter(move |limit| limit.name == *name))
}

/// A limit with its dates: an old value is marked, since it is what people find on the web.
fn limit_line(limit: &Limit) -> String {
    let dates = match (limit.from, limit.until) {
        ("", "") => String::new(),
        (from, "") => format!(" since {from}"),
        ("", until) => format!(" until {until} (out of date)"),
        (from, until) => format!(" from {from} until {until} (out of date)"),
    };
    format!("{} = {}{dates}: {} [{}]", limit.name, amount(limit), limit.what, limit.source)
}

fn amount(limit: &Limit) -> String {
    match limit.unit {
        "bytes" if limit.value >= 1024 && limit.value % 1024 == 0 => format!("{} KB", limit.value / 1024),
        "count" => limit.value.to_string(),
        unit => format!("{} {unit}", limit.value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_has_a_page_that_fits() {
        for cause in Cause::ALL {
            let Some(doc) = cfray_causes::doc(*cause) else { panic!("{cause} has no documentation") };
            let page = page(&doc, 80, Paint(false));
            for heading in ["Evidence required", "Not this cause when", "What to do", "Server administrator", "Client that met", "Sources"]
            {
                assert!(page.contains(heading), "{cause}: {heading}");
            }
            for line in page.lines().filter(|line| line.trim().contains(' ') && !line.contains('`')) {
                assert!(line.chars().count() <= 80, "{cause}: {line}");
            }
        }
    }

    #[test]
    fn limits_exist_and_old_ones_are_marked() {
        for (cause, names) in LIMITS_OF {
            for name in *names {
                assert!(LIMITS.iter().any(|limit| limit.name == *name), "{cause}: {name}");
            }
        }
        let lines: Vec<String> = limits_of(Cause::HeadersTooLarge).map(limit_line).collect();
        assert!(lines.iter().any(|line| line.contains("128 KB since 2025-10-16")), "{lines:?}");
        assert!(lines.iter().any(|line| line.contains("out of date")), "{lines:?}");
    }

    #[test]
    fn names_statuses_and_slips() {
        assert_eq!(named("Keepalive-Race", &[]), Ok(Cause::KeepaliveRace));
        assert_eq!(named("524", &[]), Ok(Cause::ResponseTimeout));
        let message = |name: &str| named(name, &[]).map_or_else(|failure| failure.to_string(), |cause| cause.to_string());
        assert!(message("keepalive").contains("cfray explain"));
        assert!(message("keepalive-rac").contains("keepalive-race"));
        assert!(message("520").contains("many causes"));
        assert!(message("404").contains("521"));
    }

    #[test]
    fn the_table_lists_every_cause_once() {
        let table = table(&[], 80, Paint(false));
        for cause in Cause::ALL {
            let rows = table.lines().filter(|line| line.split_whitespace().next() == Some(cause.name()) && line.starts_with("  ")).count();
            assert_eq!(rows, 1, "{cause}");
        }
        assert!(table.lines().skip(1).all(|line| line.chars().count() <= 80), "{table}");
    }
}
