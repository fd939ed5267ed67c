//! What to send to the host or to Cloudflare, ready to paste.

use super::{Story, shown};
use cfray_model::report::Row;
use cfray_model::{Family, Text};
use cfray_report::Masker;

/// Who can act on it.
pub fn addressee(row: &Row) -> &'static str {
    match row.verdict.cause.family() {
        Family::Edge => "Cloudflare support",
        Family::Unknown => "your host first, then Cloudflare support if the server never saw the request",
        _ => "whoever runs the server",
    }
}

/// The block of facts, by name. Cloudflare asks for ray, time, URL and both addresses; a host needs the same.
pub fn block(story: &Story, row: &Row, masker: &Masker) -> Vec<(&'static str, String)> {
    let edge = &row.edge;
    let mut lines = Vec::new();
    let mut add = |name: &'static str, value: Option<String>| {
        if let Some(value) = value.filter(|v| !v.is_empty()) {
            lines.push((name, value));
        }
    };
    add(
        "Ray ID",
        Some(edge.colo.as_ref().filter(|c| !c.is_empty()).map_or_else(|| story.ray.to_string(), |colo| format!("{}-{colo}", story.ray))),
    );
    add("Time", edge.start.map(|t| t.to_rfc3339_ms()));
    let url = edge.host.as_ref().map(|host| format!("https://{host}{}", edge.uri.as_deref().unwrap_or("/")));
    add("Request", url.map(|url| shown(masker, &format!("{} {url}", edge.method.as_deref().unwrap_or("GET")))));
    add("Status", Some(edge.edge_status.to_string()));
    let address = |ip: &Option<Text>| ip.as_ref().map(|ip| masker.address(ip).into_owned());
    add("From", address(&edge.edge_ip).map(|ip| format!("{ip} (Cloudflare)")).filter(|_| edge.edge_ip.as_deref() != Some("")));
    add("To", address(&edge.origin_ip).filter(|ip| !ip.is_empty()).map(|ip| format!("{ip} (origin)")));
    add("Finding", Some(format!("{}, confidence {:.2}", row.verdict.cause, row.verdict.confidence)).filter(|_| super::failed(row)));
    if let Some(first) = row.verdict.evidence.first() {
        let place = first.line.map(|line| format!("{}:{line}: ", first.source)).unwrap_or_default();
        add("Evidence", Some(shown(masker, &format!("{place}{}", first.text))));
    }
    lines
}
