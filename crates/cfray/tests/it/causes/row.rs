//! One edge row, what may happen to it, and moments as text.

use chrono::{DateTime, Utc};

/// 2026-11-22T12:24:00Z in seconds.
const BASE: i64 = 1_795_350_240;
/// Text of a moment.
pub fn stamp(at: i64, format: &str) -> String {
    DateTime::<Utc>::from_timestamp_millis(BASE * 1000 + at).unwrap().format(format).to_string()
}

/// What the origin runs and writes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// nginx, `combined`.
    Nginx,
    /// nginx, `combined` with `$http_cf_ray` at the end, as Cloudflare documents it.
    NginxRay,
    /// nginx, `combined` with visitors' addresses restored.
    NginxRealIp,
    /// Apache, `combined`.
    Apache,
    /// Apache, `combinedio`: bytes received and sent at the end.
    ApacheIo,
}

impl Kind {
    pub const fn is_nginx(self) -> bool {
        matches!(self, Self::Nginx | Self::NginxRay | Self::NginxRealIp)
    }
}

/// How a request ended between the origin and Cloudflare.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wire {
    /// Without a valid answer: a 520.
    Closed,
    /// With an answer, or with what Cloudflare says in place of one (521 to 530).
    Valid(u16),
}

/// An edge row.
#[derive(Clone, Debug)]
pub struct Row {
    pub ray: u64,
    pub start: i64,
    pub dur: i64,
    pub status: u16,
    pub origin_status: u16,
    pub host: String,
    pub method: String,
    pub uri: String,
    pub client: String,
    pub asn: u32,
    pub country: String,
    pub agent: String,
    pub referer: String,
    pub colo: String,
    pub edge_ip: String,
    pub origin_ip: String,
    pub origin_tls: String,
    pub tcp: i64,
    pub tls: i64,
    pub header_ms: i64,
    pub cache: String,
    pub source: String,
    pub parent: String,
    pub o2o: bool,
}

impl Row {
    /// Sixteen hexadecimal digits.
    pub fn ray(&self) -> String {
        format!("{:016x}", self.ray)
    }

    /// When Cloudflare was done with it.
    pub const fn end(&self) -> i64 {
        self.start + self.dur
    }

    /// Ends it.
    #[must_use]
    pub fn ended(mut self, wire: Wire) -> Self {
        (self.status, self.origin_status) = match wire {
            Wire::Closed => (520, 0),
            Wire::Valid(s @ 520..=530) => (s, 0),
            Wire::Valid(s) => (s, s),
        };
        self
    }

    /// Took so long, from Cloudflare's start to its end.
    #[must_use]
    pub const fn lasting(mut self, ms: i64) -> Self {
        self.dur = ms;
        self.header_ms = ms - 2;
        self
    }

    /// Went over a connection that was there.
    #[must_use]
    pub const fn reused(mut self) -> Self {
        self.tcp = 0;
        self.tls = 0;
        self
    }

    /// Asked for something else.
    #[must_use]
    pub fn asking(mut self, method: &str, uri: &str) -> Self {
        method.clone_into(&mut self.method);
        uri.clone_into(&mut self.uri);
        self
    }

    /// What nginx adds to a message about this request.
    pub fn nginx_tail(&self, upstream: &str) -> String {
        let upstream = if upstream.is_empty() { String::new() } else { format!(", upstream: \"{upstream}\"") };
        format!(
            ", client: {}, server: {}, request: \"{} {} HTTP/1.1\"{upstream}, host: \"{}\"",
            self.edge_ip, self.host, self.method, self.uri, self.host
        )
    }

    /// As a Logpush row.
    pub fn json(&self) -> String {
        let path = self.uri.split('?').next().unwrap_or_default();
        let value = serde_json::json!({
            "RayID": self.ray(),
            "EdgeStartTimestamp": stamp(self.start, "%Y-%m-%dT%H:%M:%S%.3fZ"),
            "EdgeEndTimestamp": stamp(self.end(), "%Y-%m-%dT%H:%M:%S%.3fZ"),
            "EdgeResponseStatus": self.status,
            "OriginResponseStatus": self.origin_status,
            "ClientRequestHost": self.host,
            "ClientRequestMethod": self.method,
            "ClientRequestURI": self.uri,
            "ClientRequestPath": path,
            "ClientIP": self.client,
            "ClientASN": self.asn,
            "ClientCountry": self.country,
            "ClientRequestUserAgent": self.agent,
            "ClientRequestReferer": self.referer,
            "ClientRequestProtocol": "HTTP/2",
            "ClientRequestBytes": 900 + self.uri.len(),
            "ClientRequestSource": self.source,
            "EdgeColoCode": self.colo,
            "EdgeServerIP": self.edge_ip,
            "OriginIP": self.origin_ip,
            "OriginSSLProtocol": self.origin_tls,
            "OriginTCPHandshakeDurationMs": self.tcp,
            "OriginTLSHandshakeDurationMs": self.tls,
            "OriginResponseHeaderReceiveDurationMs": self.header_ms,
            "OriginResponseDurationMs": self.header_ms,
            "CacheCacheStatus": self.cache,
            "ParentRayID": self.parent,
            "WorkerSubrequest": self.parent != "00",
            "EdgeCFConnectingO2O": self.o2o,
            "EdgePathingOp": "wl",
            "EdgePathingStatus": "nr",
        });
        value.to_string()
    }
}
