//! From the values of a record to the row that reports show, and to the fact that it leaves.

use super::keys::{self, KeyMaker};
use super::time::EdgeTime;
use super::value::{Row, Texts};
use cfray_model::time::{MILLI, SECOND};
use cfray_model::{EdgeField, EdgeRow, Fact, FactFlags, LineRef, RayId, Stamp};
use std::borrow::Cow;

/// Names of the numbers that `ClientRequestSource` once was (developers.cloudflare.com, Logs >
/// reference > ClientRequestSource).
const SOURCES: [&str; 13] = [
    "unknown",
    "eyeball",
    "purge",
    "alwaysOnline",
    "healthcheck",
    "edgeWorkerFetch",
    "edgeWorkerCacheAPI",
    "edgeWorkerKV",
    "imageResizing",
    "orangeToOrange",
    "sslDetector",
    "earlyHintsCache",
    "inBrowserChallenge",
];

/// `ClientRequestSource` by name; numbers are translated.
pub(crate) fn source<'a>(row: &Row<'a>) -> Option<Cow<'a, [u8]>> {
    let text = row.text(EdgeField::ClientRequestSource)?;
    if text.first().is_some_and(u8::is_ascii_digit)
        && let Some(name) = super::value::int(&text).and_then(|n| SOURCES.get(usize::try_from(n).ok()?))
    {
        return Some(Cow::Borrowed(name.as_bytes()));
    }
    Some(text)
}

/// `EdgeRow::counted` from the name of the source.
fn counted(source: Option<&[u8]>) -> bool {
    !matches!(source, Some(b"earlyHintsCache" | b"edgeWorkerCacheAPI" | b"edgeWorkerKV" | b"purge" | b"sslDetector" | b"alwaysOnline"))
}

/// `EdgeRow::contacted` from the row's values.
pub(crate) fn contacted(row: &Row<'_>) -> Option<bool> {
    let said = |field| row.text(field).map(|t| !t.is_empty());
    match (said(EdgeField::EdgeServerIp), said(EdgeField::OriginIp)) {
        (None, None) => None,
        (edge, origin) => Some(edge != Some(false) && origin != Some(false)),
    }
}

/// The row's ray.
pub(crate) fn ray(row: &Row<'_>) -> Option<RayId> {
    RayId::parse(&row.text(EdgeField::RayId)?)
}

/// The parent's ray: the row's own word, else that of the row it was found in.
pub(crate) fn parent(row: &Row<'_>, found_in: Option<RayId>) -> Option<RayId> {
    row.text(EdgeField::ParentRayId).and_then(|t| RayId::parse(&t)).or(found_in)
}

/// `ClientRequestURI`, else `ClientRequestPath`.
fn uri<'a>(row: &Row<'a>) -> Option<Cow<'a, [u8]>> {
    row.text(EdgeField::ClientRequestUri).or_else(|| row.text(EdgeField::ClientRequestPath))
}

/// The whole row, for an incident.
pub(crate) fn edge_row(row: &Row<'_>, at: LineRef, found_in: Option<RayId>, texts: &mut Texts) -> EdgeRow {
    let asked_by = source(row).map(|s| texts.share(EdgeField::ClientRequestSource, &s));
    let mut text = |field| row.shared(field, texts);
    let start = row.time(EdgeField::EdgeStartTimestamp);
    let end = row.time(EdgeField::EdgeEndTimestamp);
    EdgeRow {
        at,
        ray: ray(row),
        start: start.map(|t| Stamp(t.ns)),
        end: end.map(|t| Stamp(t.ns)),
        precision_ns: start.or(end).map_or(0, |t| t.precision_ns),
        host: text(EdgeField::ClientRequestHost),
        method: text(EdgeField::ClientRequestMethod),
        uri: match text(EdgeField::ClientRequestUri) {
            None => text(EdgeField::ClientRequestPath),
            uri => uri,
        },
        client_ip: text(EdgeField::ClientIp),
        client_asn: row.int(EdgeField::ClientAsn),
        client_country: text(EdgeField::ClientCountry),
        user_agent: text(EdgeField::ClientRequestUserAgent),
        referer: text(EdgeField::ClientRequestReferer),
        protocol: text(EdgeField::ClientRequestProtocol),
        request_bytes: row.int(EdgeField::ClientRequestBytes),
        source: asked_by,
        colo: text(EdgeField::EdgeColoCode),
        edge_ip: text(EdgeField::EdgeServerIp),
        origin_ip: text(EdgeField::OriginIp),
        origin_tls: text(EdgeField::OriginSslProtocol),
        edge_status: row.status(EdgeField::EdgeResponseStatus).unwrap_or(0),
        origin_status: row.status(EdgeField::OriginResponseStatus),
        tcp_ms: row.int(EdgeField::OriginTcpHandshake),
        tls_ms: row.int(EdgeField::OriginTlsHandshake),
        header_ms: row.int(EdgeField::OriginHeaderReceive),
        duration_ms: row.int(EdgeField::OriginDuration).or_else(|| Some(row.int(EdgeField::OriginResponseTime)? / MILLI)),
        cache: text(EdgeField::CacheCacheStatus),
        parent_ray: parent(row, found_in),
        worker_subrequest: row.bool(EdgeField::WorkerSubrequest),
        o2o: row.bool(EdgeField::EdgeCfConnectingO2O),
        pathing_op: text(EdgeField::EdgePathingOp),
        pathing_status: text(EdgeField::EdgePathingStatus),
    }
}

/// The fact that a row leaves, but for its status, its combination and whether it became an incident. `contacted` is [`contacted`]'s.
pub(crate) fn fact(
    row: &Row<'_>,
    start: Option<EdgeTime>,
    source: Option<&[u8]>,
    found_in: Option<RayId>,
    contacted: Option<bool>,
    keys: &mut KeyMaker,
) -> Fact {
    let end = row.time(EdgeField::EdgeEndTimestamp);
    let origin_status = row.status(EdgeField::OriginResponseStatus);
    let mut flags = 0;
    let mut flag = |bit, set: bool| flags |= if set { bit } else { 0 };
    // Without the address fields, an answer of the origin says that it was asked.
    flag(FactFlags::CONTACTED, contacted.unwrap_or(origin_status.is_some_and(|s| s > 0)));
    let tcp = row.int(EdgeField::OriginTcpHandshake);
    if contacted != Some(false)
        && let Some(tcp) = tcp
    {
        let reused = tcp == 0 && row.int(EdgeField::OriginTlsHandshake).unwrap_or(0) == 0;
        flag(if reused { FactFlags::REUSED } else { FactFlags::NEW }, true);
    }
    flag(FactFlags::SECONDS, start.or(end).is_some_and(|t| t.precision_ns >= SECOND));
    flag(FactFlags::INTERNAL, !counted(source));
    flag(FactFlags::SUBREQUEST, row.bool(EdgeField::WorkerSubrequest) == Some(true) || parent(row, found_in).is_some());
    flag(FactFlags::HAS_END, end.is_some());
    let tls = row.text(EdgeField::OriginSslProtocol);
    flag(
        FactFlags::ORIGIN_TLS,
        tls.is_some_and(|t| !(t.is_empty() || t.eq_ignore_ascii_case(b"none") || t.eq_ignore_ascii_case(b"unknown"))),
    );

    let dur_ms = match (start, end) {
        (Some(start), Some(end)) => u32::try_from((end.ns.saturating_sub(start.ns) / MILLI).max(0)).unwrap_or(u32::MAX),
        _ => 0,
    };
    let method = row.text(EdgeField::ClientRequestMethod);
    let (mut request, mut page, mut shape) = (0, 0, 0);
    if let Some(uri) = uri(row) {
        let host = row.text(EdgeField::ClientRequestHost).unwrap_or_default();
        (request, page, shape) = keys.request(method.as_deref(), &host, &uri);
    }
    Fact {
        start_ms: start.map_or(i64::MIN, |t| Stamp(t.ns).millis()),
        ray: ray(row).map_or(0, |r| r.0),
        dur_ms,
        request: request as u32,
        page: page as u32,
        client: row.text(EdgeField::ClientIp).map_or(0, |t| keys::addr(&t)),
        combo: 0,
        edge_status: 0,
        origin_status: origin_status.unwrap_or(u16::MAX),
        agent: row.text(EdgeField::ClientRequestUserAgent).filter(|t| !t.is_empty()).map_or(0, |t| cfray_model::key::bytes_key(&t) as u16),
        shape,
        tcp_ms: tcp.map_or(u16::MAX, |ms| u16::try_from(ms.max(0)).unwrap_or(u16::MAX)),
        flags: FactFlags(flags),
    }
}
