//! `rays.csv`: the requests as a support desk looks them up.

use cfray_model::report::Row;
use cfray_model::{Stamp, Text};
use cfray_report::view::View;

/// One line a request: ray with its colo, times in UTC, what was asked, from where to where, and the finding.
pub fn table(view: &View<'_>) -> Result<Vec<u8>, csv::Error> {
    let mut out = csv::Writer::from_writer(Vec::new());
    out.write_record([
        "ray",
        "start_utc",
        "end_utc",
        "status",
        "origin_status",
        "method",
        "url",
        "colo",
        "edge_ip",
        "origin_ip",
        "cause",
        "confidence",
        "match",
    ])?;
    for row in view.rows() {
        let edge = &row.edge;
        let text = |value: &Option<Text>| cell(value.as_deref().unwrap_or_default());
        out.write_record([
            ray(&row),
            edge.start.map(Stamp::to_rfc3339_ms).unwrap_or_default(),
            edge.end.map(Stamp::to_rfc3339_ms).unwrap_or_default(),
            edge.edge_status.to_string(),
            edge.origin_status.map(|s| s.to_string()).unwrap_or_default(),
            text(&edge.method),
            cell(&url(&row)),
            text(&edge.colo),
            text(&edge.edge_ip),
            text(&edge.origin_ip),
            row.verdict.cause.to_string(),
            format!("{:.2}", row.verdict.confidence),
            row.verdict.tie.name().to_owned(),
        ])?;
    }
    out.into_inner().map_err(|error| error.into_error().into())
}

/// `9e0ad402c9afa70a-FRA`: so Cloudflare and the `CF-Ray` header write it.
pub fn ray(row: &Row) -> String {
    let colo = row.edge.colo.as_deref().filter(|colo| !colo.is_empty()).map(|colo| format!("-{colo}")).unwrap_or_default();
    row.edge.ray.map(|ray| format!("{ray}{colo}")).unwrap_or_default()
}

/// The address that was asked for.
pub fn url(row: &Row) -> String {
    let uri = row.edge.uri.as_deref().unwrap_or_default();
    row.edge.host.as_deref().map_or_else(|| uri.to_owned(), |host| format!("https://{host}{uri}"))
}

/// A cell that no spreadsheet takes for a formula.
pub fn cell(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.to_owned() }
}
