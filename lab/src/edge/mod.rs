//! An emulated Cloudflare edge: it keeps origin connections for long, reuses them, parses answers
//! strictly and maps what happened to 520-526 the way Cloudflare documents it.

pub mod colo;
mod fetch;
mod h1;
mod h2c;
pub mod logpush;
mod pool;
pub mod tls;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use colo::Colo;

/// Cloudflare refuses response headers over this size since October 2025.
pub const HEADER_LIMIT: usize = 128 * 1024;

/// Where a zone's requests go. Several may exist in one recording (load balancing, wrong DNS record).
#[derive(Clone)]
pub struct Origin {
    pub addr: SocketAddr,
    /// The address the logs show instead of the loopback one.
    pub public: String,
    pub tls: Option<Arc<rustls::ClientConfig>>,
    /// Another zone behind Cloudflare (orange to orange).
    pub inner_zone: bool,
}

#[derive(Clone, Debug)]
pub struct Visitor {
    pub ip: String,
    pub asn: u32,
    pub country: String,
    pub ua: String,
    pub colo: usize,
    pub edge: usize,
}

#[derive(Clone, Debug)]
pub enum Body {
    None,
    Full(Vec<u8>),
    /// The visitor announces `declared` bytes and stops after `sent`: a stalled upload.
    Stalled {
        declared: usize,
        sent: usize,
    },
}

#[derive(Clone, Debug)]
pub struct Req {
    /// Who made the request; the label of a failure is decided with it.
    pub tag: &'static str,
    pub method: &'static str,
    pub host: String,
    pub uri: String,
    pub referer: String,
    pub visitor: Arc<Visitor>,
    pub body: Body,
    pub headers: Vec<(String, String)>,
    /// Response bytes when the edge answers from its cache.
    pub cached: Option<(usize, &'static str)>,
    pub cacheable: bool,
    pub origin: usize,
    /// ClientRequestSource: `eyeball`, or what else made the request.
    pub source: &'static str,
    /// A Worker makes the request to the origin on behalf of the visitor.
    pub worker: bool,
    /// Edge-internal failure: no origin is contacted, this status is the answer.
    pub edge_only: Option<u16>,
}

/// Why the edge gave the status it gave; written to wire.csv so that labels can be checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    Answer,
    Cached,
    EdgeOnly,
    /// The colo itself broke the request; the origin never saw it.
    EdgeFault,
    Refused,
    ConnectTimeout,
    TlsHandshake,
    /// The origin closed before any response byte.
    Eof,
    Reset,
    /// A TLS alert came after the handshake was done (refused client certificate under TLS 1.3).
    TlsAlert,
    PartialHeader,
    NotHttp,
    HeaderTooLarge,
    HeaderTimeout,
    Http2,
}

#[derive(Clone, Debug)]
pub struct Row {
    pub ray: String,
    /// Ray of the visitor's request when a Worker made this one, else empty.
    pub parent: String,
    pub req: Req,
    pub start: SystemTime,
    pub end: SystemTime,
    /// When the request reached the origin's socket and when its fate was seen there.
    pub sent_at: SystemTime,
    pub over_at: SystemTime,
    pub edge_status: u16,
    pub origin_status: u16,
    pub why: Why,
    pub detail: String,
    pub reused: bool,
    pub idle_gap: Option<Duration>,
    pub tcp: Duration,
    pub tls: Duration,
    pub header: Duration,
    pub origin_total: Duration,
    pub tls_proto: &'static str,
    pub head_len: usize,
    pub body_len: usize,
    pub content_type: String,
    pub last_modified: String,
    pub request_bytes: usize,
    pub local_port: u16,
    pub rtt: Duration,
    pub attempts: u32,
}

pub struct Edge {
    pub colos: Vec<Colo>,
    pub origins: Mutex<Vec<Origin>>,
    pool: pool::Pool,
    pub rows: Mutex<Vec<Row>>,
    /// 524 after this; production waits 120 s.
    pub header_timeout: Duration,
    /// Production retries some idempotent requests on a fresh connection; undocumented which.
    pub retry: AtomicBool,
    /// A colo whose own fault breaks most of its origin requests; usize::MAX is none.
    pub broken_colo: AtomicUsize,
}

impl Edge {
    pub fn new(colos: Vec<Colo>, origins: Vec<Origin>) -> Arc<Self> {
        Arc::new(Self {
            colos,
            origins: Mutex::new(origins),
            pool: pool::Pool::default(),
            rows: Mutex::default(),
            header_timeout: Duration::from_secs(14),
            retry: AtomicBool::new(false),
            broken_colo: AtomicUsize::new(usize::MAX),
        })
    }

    pub fn set_origin(&self, index: usize, origin: Origin) {
        self.origins.lock().unwrap()[index] = origin;
    }
}
