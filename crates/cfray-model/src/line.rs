//! One record of an origin log, parsed.

use crate::ray::RayId;
use crate::time::LogTime;
use serde::Serialize;
use std::borrow::Cow;

/// Which software wrote a line.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[allow(missing_docs)]
pub enum Stack {
    Nginx,
    Apache,
    LiteSpeed,
    Lighttpd,
    HaProxy,
    Fpm,
    Php,
    Kernel,
    Systemd,
    Fail2ban,
    Firewall,
    ModSecurity,
    App,
}

/// What a line reports.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
pub enum LineKind {
    /// One answered request of a web server (or of FPM's access log).
    Access,
    /// A web server's error log.
    Error,
    /// PHP-FPM's main or slow log.
    Fpm,
    /// PHP's own error log.
    Php,
    /// Kernel, systemd, fail2ban, firewall.
    System,
    /// ModSecurity serial audit log.
    Audit,
    /// Anything else that could be read (application logs inside a syslog file).
    Other,
}

/// Log levels, most severe first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[allow(missing_docs)]
pub enum Level {
    Emerg,
    Alert,
    Crit,
    Error,
    Warn,
    Notice,
    Info,
    Debug,
}

/// A parsed record. `None` means that the line does not say; a logged `-` is `None`, too.
#[derive(Clone, Debug)]
pub struct Line<'a> {
    /// What it reports.
    pub kind: LineKind,
    /// Who wrote it.
    pub stack: Stack,
    /// When, as stated. nginx access: the request's end. Apache access `%t`: its start.
    pub time: Option<LogTime>,
    /// True when `time` is the request's start (Apache `%t`, FPM `%t`), false when it is the
    /// moment of writing.
    pub time_is_start: bool,
    /// Level.
    pub level: Option<Level>,
    /// Process id of the writer, or the FPM child that the line is about.
    pub pid: Option<u64>,
    /// Thread id.
    pub tid: Option<u64>,
    /// Connection id: nginx `*CID` = `$connection`.
    pub cid: Option<u64>,
    /// Apache `%L`, unique id.
    pub log_id: Option<Cow<'a, [u8]>>,
    /// Ray in the line's ray position (never from inside request, referrer or agent).
    pub ray: Option<RayId>,
    /// Client address as logged (visitor or Cloudflare edge), without port.
    pub client: Option<Cow<'a, [u8]>>,
    /// A second address in the line: `CF-Connecting-IP` / `X-Forwarded-For` first element.
    pub visitor: Option<Cow<'a, [u8]>>,
    /// Host header or virtual host.
    pub host: Option<Cow<'a, [u8]>>,
    /// Request method.
    pub method: Option<Cow<'a, [u8]>>,
    /// Request target as logged (still escaped; see [`crate::key::canonical_uri`]).
    pub uri: Option<Cow<'a, [u8]>>,
    /// `HTTP/1.1` and so on.
    pub protocol: Option<Cow<'a, [u8]>>,
    /// Referrer.
    pub referer: Option<Cow<'a, [u8]>>,
    /// User agent.
    pub agent: Option<Cow<'a, [u8]>>,
    /// Status in the access line.
    pub status: Option<u16>,
    /// Bytes on the wire including the header (nginx `$bytes_sent`, Apache `%O`).
    pub bytes_sent: Option<u64>,
    /// Bytes of the body (nginx `$body_bytes_sent`, Apache `%B`/`%b`; `-` is 0).
    pub body_bytes: Option<u64>,
    /// One size column whose meaning the format does not settle (combined: body on nginx and
    /// stock Apache, wire size on Debian's Apache).
    pub size: Option<u64>,
    /// Duration of the request in microseconds (`$request_time`, `%D`, `%T`).
    pub duration_us: Option<u64>,
    /// Did the client show an accepted certificate? `$ssl_client_verify`, `%{SSL_CLIENT_VERIFY}x`.
    pub verified: Option<bool>,
    /// Last status in `$upstream_status`.
    pub upstream_status: Option<u16>,
    /// Upstream as written: `fastcgi://unix:/run/php/www.sock:`, `http://10.0.0.5:8080/`.
    pub upstream: Option<Cow<'a, [u8]>>,
    /// Apache module (`mpm_prefork`, `proxy_http`), FPM pool name, fail2ban jail, or syslog tag.
    pub module: Option<Cow<'a, [u8]>>,
    /// Apache `AHnnnnn` number.
    pub code: Option<u32>,
    /// Host name in the syslog or journal wrapper.
    pub syslog_host: Option<Cow<'a, [u8]>>,
    /// The message: everything after the prefix; empty for access lines.
    pub message: Cow<'a, [u8]>,
    /// The ray stands where the agent may stand, which clients write: it counts only beside the request of its row.
    pub unsure_ray: bool,
    /// True when `message` holds raw text of clients or applications without escaping (FastCGI
    /// stderr, child output, PHP error_log): a signature found in it needs a second trace.
    pub raw_text: bool,
}

impl Line<'_> {
    /// An empty record of a kind.
    pub const fn new(kind: LineKind, stack: Stack) -> Self {
        Self {
            kind,
            stack,
            time: None,
            time_is_start: false,
            level: None,
            pid: None,
            tid: None,
            cid: None,
            log_id: None,
            ray: None,
            client: None,
            visitor: None,
            host: None,
            method: None,
            uri: None,
            protocol: None,
            referer: None,
            agent: None,
            status: None,
            bytes_sent: None,
            body_bytes: None,
            size: None,
            duration_us: None,
            verified: None,
            upstream_status: None,
            upstream: None,
            module: None,
            code: None,
            syslog_host: None,
            message: Cow::Borrowed(b""),
            unsure_ray: false,
            raw_text: false,
        }
    }
}
