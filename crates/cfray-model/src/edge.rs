//! Cloudflare's side: Logpush `http_requests` rows.
//!
//! Field names and meanings: developers.cloudflare.com, Logs > Logpush > datasets > HTTP requests
//! (state of 2026-08-20). A job delivers only the fields its owner chose, so every field is optional.

use crate::fact::Combo;
use crate::facts::Facts;
use crate::index::IncidentIndex;
use crate::ray::RayId;
use crate::slice::{IncidentKeys, Slice, SliceTime};
use crate::source::LineRef;
use crate::text::Text;
use crate::time::Stamp;
use crate::traffic::Traffic;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

macro_rules! edge_fields {
    ($( $variant:ident = $name:literal $(| $alias:literal)* ; $why:literal; )*) => {
        /// The Logpush fields that cfray reads, by canonical name.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[allow(missing_docs)]
        pub enum EdgeField { $( $variant, )* }

        impl EdgeField {
            /// Every field that is read.
            pub const ALL: &'static [EdgeField] = &[ $( EdgeField::$variant, )* ];

            /// Canonical Logpush spelling.
            pub const fn name(self) -> &'static str {
                match self { $( EdgeField::$variant => $name, )* }
            }

            /// Other names under which exports carry the same field.
            pub const fn aliases(self) -> &'static [&'static str] {
                match self { $( EdgeField::$variant => &[ $( $alias, )* ], )* }
            }

            /// What a run loses without it, one clause.
            pub const fn without(self) -> &'static str {
                match self { $( EdgeField::$variant => $why, )* }
            }
        }
    };
}

edge_fields! {
    RayId = "RayID" | "Ray" | "cf_ray"; "no tie by ray";
    EdgeStartTimestamp = "EdgeStartTimestamp" | "Timestamp" | "Datetime"; "no time: window ties, retries and charts are off";
    EdgeEndTimestamp = "EdgeEndTimestamp"; "the moment of failure is only known from the start";
    EdgeResponseStatus = "EdgeResponseStatus"; "520s cannot be found";
    OriginResponseStatus = "OriginResponseStatus"; "a refused answer (2xx to 4xx) cannot be told from no answer";
    ClientRequestHost = "ClientRequestHost" | "EdgeRequestHost"; "hosts cannot be told apart";
    ClientRequestMethod = "ClientRequestMethod"; "no tie by request";
    ClientRequestUri = "ClientRequestURI"; "no tie by request";
    ClientRequestPath = "ClientRequestPath"; "(used when ClientRequestURI is absent)";
    ClientIp = "ClientIP"; "clients cannot be compared, retries not followed";
    ClientAsn = "ClientASN"; "networks cannot be compared";
    ClientCountry = "ClientCountry"; "countries are not shown";
    ClientRequestUserAgent = "ClientRequestUserAgent"; "agents cannot be compared";
    ClientRequestReferer = "ClientRequestReferer"; "weaker tie by request";
    ClientRequestProtocol = "ClientRequestProtocol"; "client protocol is not shown";
    ClientRequestBytes = "ClientRequestBytes"; "large requests cannot be recognised";
    ClientRequestSource = "ClientRequestSource" | "RequestSource"; "internal requests cannot be told from visitors";
    EdgeColoCode = "EdgeColoCode"; "data centres cannot be compared";
    EdgeServerIp = "EdgeServerIP"; "edge addresses cannot be compared, idle gaps not measured";
    OriginIp = "OriginIP"; "origins cannot be told apart";
    OriginSslProtocol = "OriginSSLProtocol"; "TLS to the origin is not known";
    OriginTcpHandshake = "OriginTCPHandshakeDurationMs"; "new and reused connections cannot be told apart";
    OriginTlsHandshake = "OriginTLSHandshakeDurationMs"; "new and reused connections are harder to tell apart";
    OriginHeaderReceive = "OriginResponseHeaderReceiveDurationMs"; "time to failure is not known";
    OriginDuration = "OriginResponseDurationMs"; "time at the origin is not known";
    OriginResponseTime = "OriginResponseTime"; "(deprecated, used when OriginResponseDurationMs is absent)";
    CacheCacheStatus = "CacheCacheStatus" | "CacheStatus"; "cache answers cannot be told from origin contact";
    ParentRayId = "ParentRayID"; "Worker subrequests cannot be followed";
    WorkerSubrequest = "WorkerSubrequest"; "Worker subrequests cannot be recognised";
    EdgeCfConnectingO2O = "EdgeCFConnectingO2O"; "requests through two zones cannot be recognised";
    EdgePathingOp = "EdgePathingOp"; "requests stopped at the edge cannot be recognised";
    EdgePathingStatus = "EdgePathingStatus"; "requests stopped at the edge cannot be recognised";
    SampleInterval = "sampleInterval"; "(only in Instant Logs)";
    Subrequests = "Subrequests"; "(only with subrequest merging)";
}

/// One edge row, complete as far as the job delivers it. Kept for incidents only.
///
/// `None` means that the field was absent; a logged 0 or empty string is `Some`.
#[derive(Clone, Debug, Default, Serialize)]
pub struct EdgeRow {
    /// Where the row stands.
    pub at: LineRef,
    /// `RayID`.
    pub ray: Option<RayId>,
    /// `EdgeStartTimestamp`.
    pub start: Option<Stamp>,
    /// `EdgeEndTimestamp`.
    pub end: Option<Stamp>,
    /// Width of one tick of the row's timestamps in nanoseconds (1 s for RFC 3339 without fraction).
    pub precision_ns: i64,
    /// `ClientRequestHost`.
    pub host: Option<Text>,
    /// `ClientRequestMethod`.
    pub method: Option<Text>,
    /// `ClientRequestURI`, else `ClientRequestPath`.
    pub uri: Option<Text>,
    /// `ClientIP`.
    pub client_ip: Option<Text>,
    /// `ClientASN`.
    pub client_asn: Option<i64>,
    /// `ClientCountry`.
    pub client_country: Option<Text>,
    /// `ClientRequestUserAgent`.
    pub user_agent: Option<Text>,
    /// `ClientRequestReferer`.
    pub referer: Option<Text>,
    /// `ClientRequestProtocol`.
    pub protocol: Option<Text>,
    /// `ClientRequestBytes`.
    pub request_bytes: Option<i64>,
    /// `ClientRequestSource` in its string form (numbers are translated).
    pub source: Option<Text>,
    /// `EdgeColoCode`.
    pub colo: Option<Text>,
    /// `EdgeServerIP`; empty string: no request went to the origin.
    pub edge_ip: Option<Text>,
    /// `OriginIP`; empty string: the origin was not contacted.
    pub origin_ip: Option<Text>,
    /// `OriginSSLProtocol`.
    pub origin_tls: Option<Text>,
    /// `EdgeResponseStatus`.
    pub edge_status: u16,
    /// `OriginResponseStatus`.
    pub origin_status: Option<u16>,
    /// `OriginTCPHandshakeDurationMs`: 0 on a reused connection.
    pub tcp_ms: Option<i64>,
    /// `OriginTLSHandshakeDurationMs`: 0 on a reused connection.
    pub tls_ms: Option<i64>,
    /// `OriginResponseHeaderReceiveDurationMs`.
    pub header_ms: Option<i64>,
    /// `OriginResponseDurationMs` (or `OriginResponseTime` / 10^6).
    pub duration_ms: Option<i64>,
    /// `CacheCacheStatus`.
    pub cache: Option<Text>,
    /// `ParentRayID`; `00` and the empty string count as absent.
    pub parent_ray: Option<RayId>,
    /// `WorkerSubrequest`.
    pub worker_subrequest: Option<bool>,
    /// `EdgeCFConnectingO2O`.
    pub o2o: Option<bool>,
    /// `EdgePathingOp`.
    pub pathing_op: Option<Text>,
    /// `EdgePathingStatus`.
    pub pathing_status: Option<Text>,
}

crate::shelf::pack_struct!(EdgeRow {
    at,
    ray,
    start,
    end,
    precision_ns,
    host,
    method,
    uri,
    client_ip,
    client_asn,
    client_country,
    user_agent,
    referer,
    protocol,
    request_bytes,
    source,
    colo,
    edge_ip,
    origin_ip,
    origin_tls,
    edge_status,
    origin_status,
    tcp_ms,
    tls_ms,
    header_ms,
    duration_ms,
    cache,
    parent_ray,
    worker_subrequest,
    o2o,
    pathing_op,
    pathing_status
});

impl EdgeRow {
    /// Incidents stand in this order: by start, then ray, then place.
    pub const fn order(&self) -> (Option<Stamp>, Option<RayId>, LineRef) {
        (self.start, self.ray, self.at)
    }

    /// Start in milliseconds as its fact has it: `i64::MIN` where the row has none.
    pub fn start_ms(&self) -> i64 {
        self.start.map_or(i64::MIN, Stamp::millis)
    }

    /// `Some(false)` when the row says that no request went to the origin: `EdgeServerIP` or
    /// `OriginIP` present and empty. `None` when neither field is delivered.
    pub fn contacted(&self) -> Option<bool> {
        match (&self.edge_ip, &self.origin_ip) {
            (None, None) => None,
            (edge, origin) => Some(edge.as_deref() != Some("") && origin.as_deref() != Some("")),
        }
    }

    /// Kind of connection to the origin, from the handshake times. Cloudflare documents 0 for a
    /// reused connection; where the job has both fields, both must be 0.
    pub fn reused(&self) -> Option<bool> {
        if self.contacted() == Some(false) {
            return None;
        }
        match (self.tcp_ms, self.tls_ms) {
            (Some(tcp), tls) => Some(tcp == 0 && tls.unwrap_or(0) == 0),
            (None, _) => None,
        }
    }

    /// Sources that are not a visitor's request: listed, but not counted.
    pub fn counted(&self) -> bool {
        !matches!(
            self.source.as_deref(),
            Some("earlyHintsCache" | "edgeWorkerCacheAPI" | "edgeWorkerKV" | "purge" | "sslDetector" | "alwaysOnline")
        )
    }
}

/// Which rows become incidents, and which do not reach the report.
#[derive(Clone, Debug)]
pub struct EdgeFilter {
    /// Inclusive ranges of `EdgeResponseStatus`.
    pub statuses: Vec<(u16, u16)>,
    /// Incidents at or after.
    pub since: Option<Stamp>,
    /// Incidents before.
    pub until: Option<Stamp>,
    /// Only these hosts (lower case), when not empty.
    pub hosts: Vec<String>,
    /// Only these colos (upper case), when not empty.
    pub colos: Vec<String>,
    /// The request that `cfray ray` asks for: its row becomes an incident whatever its status,
    /// time, host and colo, beside the rows that the other fields choose. (The others stay, so that
    /// a verdict given by `cfray ray` is the one that `cfray analyze` gives.)
    pub ray: Option<RayId>,
}

impl Default for EdgeFilter {
    fn default() -> Self {
        Self { statuses: vec![(520, 520)], since: None, until: None, hosts: Vec::new(), colos: Vec::new(), ray: None }
    }
}

impl EdgeFilter {
    /// Can a row with this status become an incident? With a ray to look for, any can.
    pub fn wants_status(&self, status: u16) -> bool {
        self.ray.is_some() || self.chose_status(status)
    }

    /// Is the status one of the chosen?
    fn chose_status(&self, status: u16) -> bool {
        self.statuses.iter().any(|&(from, to)| (from..=to).contains(&status))
    }

    /// Does the row become an incident?
    pub fn wants(&self, row: &EdgeRow) -> bool {
        if self.ray.is_some() && (row.ray == self.ray || row.parent_ray == self.ray) {
            return true;
        }
        self.chose_status(row.edge_status)
            && row.start.is_none_or(|t| self.since.is_none_or(|s| t >= s) && self.until.is_none_or(|u| t < u))
            && (self.hosts.is_empty() || row.host.as_ref().is_some_and(|h| self.hosts.contains(&h.to_ascii_lowercase())))
            && (self.colos.is_empty() || row.colo.as_ref().is_some_and(|c| self.colos.contains(&c.to_ascii_uppercase())))
    }
}

/// Counters over every edge row. All merge by addition, minimum or union.
#[derive(Clone, Debug, Default, Serialize)]
pub struct EdgeCounters {
    /// Rows read, duplicates left out.
    pub rows: u64,
    /// Rows dropped because the same ray, start and source had been seen.
    pub duplicates: u64,
    /// Lines that are not a row.
    pub rejected: u64,
    /// Rows by edge status.
    pub by_status: BTreeMap<u16, u64>,
    /// Rows by `ClientRequestSource`.
    pub by_source: BTreeMap<String, u64>,
    /// Rows of every status over time, for charts.
    pub traffic: Traffic,
    /// Rows in which each field occurs, by canonical name.
    pub fields: BTreeMap<String, u64>,
    /// Number of distinct field names of the widest row.
    pub width: u32,
    /// Earliest start.
    pub first: Option<Stamp>,
    /// Latest start.
    pub last: Option<Stamp>,
    /// Finest width of a timestamp tick seen, in nanoseconds; 0 when none.
    pub precision_ns: i64,
    /// Rows with a status below 500.
    pub below_500: u64,
    /// Largest `sampleInterval` seen; 0 when none.
    pub sample_interval: u64,
}

/// What the edge pass leaves behind.
#[derive(Clone, Debug, Default)]
pub struct EdgeScan {
    /// Incidents, complete; ordered by (start, ray, place) once the scan is finished.
    pub incidents: Vec<EdgeRow>,
    /// The incidents where they are too many for memory: then `incidents` is empty.
    pub slices: Vec<Slice>,
    /// The time of a slice; `None` for a whole scan.
    pub time: Option<SliceTime>,
    /// The keys of the incidents of all slices.
    pub everybody: Option<Arc<IncidentKeys>>,
    /// One fact for each row that touched the origin or has status 500 or more (incidents
    /// included), ordered by (start, ray) once the scan is finished.
    pub facts: Facts,
    /// What [`crate::Fact::combo`] points to, sorted.
    pub combos: Vec<Combo>,
    /// Counters.
    pub counters: EdgeCounters,
    /// A few rejected lines with the reason, smallest places first.
    pub rejects: Vec<Reject>,
    /// What went wrong while edge sources were read, as `NAME: reason`, sorted.
    pub problems: Vec<String>,
    /// Physical lines read, by source.
    pub lines: BTreeMap<u32, u64>,
}

/// A line that could not be read, as a sample for the reader.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Reject {
    /// Where.
    pub at: LineRef,
    /// Why, one clause.
    pub reason: String,
}

impl EdgeScan {
    /// Does the job deliver `EdgeServerIP`?
    pub fn tells_edge_address(&self) -> bool {
        self.combos.iter().any(|c| !c.edge_ip.is_empty())
    }

    /// Builds the index that the origin pass needs.
    pub fn index(&self) -> IncidentIndex {
        IncidentIndex::build(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(ray: u64, status: u16, host: &str) -> EdgeRow {
        EdgeRow { ray: Some(RayId(ray)), edge_status: status, host: Some(host.into()), ..EdgeRow::default() }
    }

    #[test]
    fn the_ray_asked_for_is_wanted_whatever_else_is_chosen() {
        let filter = EdgeFilter { hosts: vec!["a.example".to_owned()], ray: Some(RayId(7)), ..EdgeFilter::default() };
        assert!(filter.wants(&row(7, 200, "b.example")), "its own row");
        assert!(filter.wants(&EdgeRow { parent_ray: Some(RayId(7)), ..row(9, 504, "b.example") }), "a subrequest of it");
        assert!(filter.wants(&row(8, 520, "A.example")), "what the other fields choose");
        assert!(!filter.wants(&row(8, 200, "a.example")));
        assert!(!filter.wants(&row(8, 520, "b.example")));
        assert!(filter.wants_status(200), "any status may be the ray's");
        assert!(!EdgeFilter::default().wants_status(200));
    }
}
