//! What the origin pass keeps: events and coverage.

use crate::answer::AnsweredLine;
use crate::edge::Reject;
use crate::index::IncidentIndex;
use crate::line::{Level, LineKind, Stack};
use crate::record::{Num, RecordText, Stated};
use crate::source::{LineRef, SourceInfo};
use crate::text::Text;
use crate::time::LogTime;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

macro_rules! sigs {
    ($( $(#[$doc:meta])* $variant:ident = $name:literal; )*) => {
        /// Signatures: messages with a known meaning on the wire. The patterns are in cfray-formats.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
        pub enum Sig {
            $( $(#[$doc])* $variant, )*
            /// A pattern of the user's configuration, by its number. No line's own signature: an event may hold several.
            Own(u8),
        }

        impl Sig {
            /// Every built-in signature.
            pub const ALL: &'static [Sig] = &[ $( Sig::$variant, )* ];
            /// Short name for tables and tests.
            pub const fn name(self) -> &'static str {
                match self {
                    $( Sig::$variant => $name, )*
                    Sig::Own(_) => "own",
                }
            }
        }
    };
}

sigs! {
    /// nginx `worker process P exited on signal N`. num = N, pid = P.
    NginxWorkerSignal = "nginx-worker-signal";
    /// nginx `exited with fatal code`. pid = P.
    NginxWorkerFatal = "nginx-worker-fatal";
    /// nginx lifecycle: stop (SIGTERM/SIGINT, `exiting`). num = signal.
    NginxStop = "nginx-stop";
    /// nginx graceful quit or reload (SIGQUIT, SIGHUP, `reconfiguring`, `gracefully shutting down`).
    NginxReload = "nginx-reload";
    /// nginx start (`start worker processes`, `using the "epoll"`, `built by`).
    NginxStart = "nginx-start";
    /// `N worker_connections are not enough` without suffix. num = N.
    WorkerConnections = "worker-connections";
    /// the same ` while connecting to upstream` (valid 500).
    WorkerConnectionsUpstream = "worker-connections-upstream";
    /// `reusing connections`: idle keep-alive connections reaped.
    ReusingConnections = "reusing-connections";
    /// `accept4() failed (24|23`.
    AcceptFailed = "accept-failed";
    /// `connect() to ... failed (11:`: listen queue of the pool full.
    ConnectQueueFull = "connect-queue-full";
    /// `connect() ... failed (2:|13:|111:|113:`: backend down. num = errno.
    ConnectFailed = "connect-failed";
    /// `upstream timed out (110:` before the response header.
    UpstreamTimedOut = "upstream-timed-out";
    /// `upstream prematurely closed connection while reading response header`.
    UpstreamClosed = "upstream-closed";
    /// `recv() failed (104:` while reading response header from upstream.
    UpstreamReset = "upstream-reset";
    /// The same three while reading the body (`while reading upstream`): header already went out.
    UpstreamBodyCut = "upstream-body-cut";
    /// `upstream sent no valid HTTP/1.0 header`.
    UpstreamNotHttp = "upstream-not-http";
    /// `upstream sent too big header`.
    UpstreamBigHeader = "upstream-big-header";
    /// `upstream sent invalid header|invalid status|duplicate header|unexpected FastCGI record`...
    UpstreamBadHeader = "upstream-bad-header";
    /// `no live upstreams`, `could not be resolved`.
    UpstreamNone = "upstream-none";
    /// `FastCGI sent in stderr:` carrying a PHP fatal.
    PhpFatal = "php-fatal";
    /// PHP memory limit `Allowed memory size of N bytes exhausted`. num = N.
    PhpMemory = "php-memory";
    /// PHP `Maximum execution time of N seconds exceeded`. num = N.
    PhpTime = "php-time";
    /// Any other PHP message (warning, notice, deprecated).
    PhpOther = "php-other";
    /// Start of a stack trace or frame lines of a fatal.
    PhpTrace = "php-trace";
    /// nginx `limiting requests`. name = zone.
    LimitRequests = "limit-requests";
    /// nginx `limiting connections`. name = zone.
    LimitConnections = "limit-connections";
    /// `access forbidden by rule`, `client denied by server configuration` (valid 403).
    AccessForbidden = "access-forbidden";
    /// `access forbidden by rule` of nginx's stream module: the connection is closed, nothing is sent.
    StreamForbidden = "stream-forbidden";
    /// nginx client certificate lines (`client SSL certificate verify error`, `sent no required`).
    ClientCert = "client-cert";
    /// Apache AH02039, AH02276, AH02008, AH02010, AH02011, `peer did not return a certificate`.
    ApacheClientCert = "apache-client-cert";
    /// HAProxy `SSL client certificate not trusted`, `SSL client CA chain cannot be verified`, or a handshake that failed for
    /// want of a certificate; Go's net/http (Caddy) `TLS handshake error from ADDR: tls: client didn't provide a certificate`.
    /// client = the peer.
    PeerClientCert = "peer-client-cert";
    /// HAProxy's master: `Current worker (P) exited with code 128 + N`. num = N, pid = P.
    HaProxyWorkerSignal = "haproxy-worker-signal";
    /// lighttpd `server stopped by UID = N PID = N`: SIGTERM, or the end of a graceful shutdown.
    LighttpdStop = "lighttpd-stop";
    /// lighttpd `[note] graceful shutdown started`.
    LighttpdGraceful = "lighttpd-graceful";
    /// lighttpd `server started`.
    LighttpdStart = "lighttpd-start";
    /// Apache AH03492 at its start: a listener takes only connections with a PROXY header. name = address:port.
    ProxyProtocolOn = "proxy-protocol-on";
    /// nginx `broken header: ... while reading PROXY protocol`, HAProxy `Received something which does not look like a PROXY
    /// protocol header`.
    ProxyProtocol = "proxy-protocol";
    /// nginx `client sent too large header`, `client exceeded http2_max_field_size limit`, `http2 flood` on HTTP/2.
    Http2TooLarge = "http2-too-large";
    /// HTTP/2 connection errors: invalid preface, GOAWAY, hpack, flow control; HAProxy's session line without a request.
    Http2Error = "http2-error";
    /// `client timed out (110:` / `Request ... read timeout`: slow client.
    ClientTimedOut = "client-timed-out";
    /// nginx request parse errors answered with a valid 400/414.
    ClientBadRequest = "client-bad-request";
    /// `client ... closed keepalive connection`, `client prematurely closed connection`.
    ClientClosed = "client-closed";
    /// `writev() failed (104|32` / `send() failed` while sending to client.
    SendToClientFailed = "send-to-client-failed";
    /// `open()|pwrite()|mkdir() ... failed (13:|28:|2:|30:)` of a temp, cache or body file. num = errno.
    FileIo = "file-io";
    /// Out of memory in the server: `malloc() failed`, `could not allocate`, `(12: Cannot allocate`.
    AllocFailed = "alloc-failed";
    /// Apache AH00052/AH00051 `child pid P exit signal NAME (N)`. num = N, pid = P.
    ApacheChildSignal = "apache-child-signal";
    /// Apache AH00050 fatal, parent exits.
    ApacheFatal = "apache-fatal";
    /// AH00161/AH00286/AH00484/2.2 wording: MaxRequestWorkers reached.
    ApacheMaxWorkers = "apache-max-workers";
    /// AH00485/AH03490/AH00288: scoreboard is full.
    ApacheScoreboard = "apache-scoreboard";
    /// AH00169/491/295 caught SIGTERM, AH00173/494/298 SIGHUP (ungraceful), AH00045-47.
    ApacheStop = "apache-stop";
    /// AH00171/493/297 graceful restart, AH00170/492/296 graceful stop.
    ApacheReload = "apache-reload";
    /// AH00163/489/292 resuming normal operations, AH00094.
    ApacheStart = "apache-start";
    /// AH01102 error reading status line from remote server.
    ProxyStatusLine = "proxy-status-line";
    /// AH00898: a valid 502 was sent.
    ProxyErrorSent = "proxy-error-sent";
    /// AH01075, AH01067, AH01079, AH02454, AH00957, AH01114, AH00959: valid 503/504 by mod_proxy.
    ProxyDispatch = "proxy-dispatch";
    /// AH01071 `Got error '...'` without a PHP fatal.
    ProxyStderr = "proxy-stderr";
    /// AH01215: stderr of a CGI script.
    CgiStderr = "cgi-stderr";
    /// `malformed header from script`, `Premature end of script headers`, `End of script output` (valid 500).
    CgiMalformed = "cgi-malformed";
    /// ModSecurity v2 `Access denied with connection close`.
    ModsecDrop = "modsec-drop";
    /// ModSecurity `Access denied with code N`. num = N.
    ModsecDeny = "modsec-deny";
    /// A connection ended at a limit per client, outside of any request: LiteSpeed `Reached per client ... connection limit`,
    /// Apache mod_qos `QS_SrvMaxConnPerIP`, `limiting connections` of nginx's stream module. name = address, where it stands
    /// in the message.
    LiteSpeedThrottle = "litespeed-throttle";
    /// FPM `child P exited on signal N`. num = N, pid = P, name = pool.
    FpmChildSignal = "fpm-child-signal";
    /// FPM `child P exited with code N`. num = N, pid = P.
    FpmChildCode = "fpm-child-code";
    /// FPM `execution timed out (N sec), terminating`. num = milliseconds, pid = child; uri, method.
    FpmTimeout = "fpm-timeout";
    /// FPM `executing too slow`.
    FpmSlow = "fpm-slow";
    /// FPM `server reached pm.max_children setting (N)`. num = N, name = pool.
    FpmMaxChildren = "fpm-max-children";
    /// An application server ended a worker that did not answer: gunicorn `WORKER TIMEOUT`, uWSGI `HARAKIRI`. pid = worker.
    AppWorkerTimeout = "app-worker-timeout";
    /// An application server's worker died on a signal. num = signal, pid = worker.
    AppWorkerSignal = "app-worker-signal";
    /// An application server's listen queue is full: uWSGI. name = socket.
    AppQueueFull = "app-queue-full";
    /// An application reports an exception that it did not catch, with the path of the request: Flask, Django, gunicorn.
    AppException = "app-exception";
    /// A logger of Node names a request in a warning or an error, and no response (pino, bunyan, winston).
    AppUnanswered = "app-unanswered";
    /// The application ended itself over an error: Node's last line on standard error; PM2, supervisor: exit code not 0.
    AppExit = "app-exit";
    /// `TypeError: text`, as JavaScript's engines print an error: context of [`Sig::AppExit`].
    AppError = "app-error";
    /// An application server says where it listens: gunicorn, uvicorn, Fastify. name = address and port.
    AppListening = "app-listening";
    /// FPM `seems busy`.
    FpmBusy = "fpm-busy";
    /// FPM `Terminating ...`, `exiting, bye-bye`, `Finishing`.
    FpmStop = "fpm-stop";
    /// FPM `Reloading in progress`, emergency restart.
    FpmReload = "fpm-reload";
    /// FPM `fpm is running`, `ready to handle connections`.
    FpmStart = "fpm-start";
    /// Kernel `Out of memory: Killed process P (NAME)` (also memory cgroup, also the older wording).
    OomKill = "oom-kill";
    /// Kernel `NAME invoked oom-killer`, `oom-kill:constraint=`, oom_reaper.
    OomContext = "oom-context";
    /// Kernel segfault, `traps:` general protection, invalid opcode... pid, name; num = signal (11, 4, 8, 5).
    KernelFault = "kernel-fault";
    /// systemd: unit stopping, stopped. name = unit.
    UnitStop = "unit-stop";
    /// systemd: unit started. name = unit.
    UnitStart = "unit-start";
    /// systemd: `Main process exited, code=killed|dumped, status=N/NAME`. num = N, name = unit.
    UnitKilled = "unit-killed";
    /// systemd: `Main process exited, code=exited, status=N/NAME`, N not 0. num = N, name = unit.
    UnitExited = "unit-exited";
    /// systemd: killed by the OOM killer, `Failed with result 'oom-kill'`.
    UnitOom = "unit-oom";
    /// fail2ban `[JAIL] Ban ADDR`; client = ADDR, name = jail.
    Ban = "ban";
    /// fail2ban `Unban`.
    Unban = "unban";
    /// Firewall drop or reject line; client = SRC.
    FirewallBlock = "firewall-block";
    /// `PRI * HTTP/2.0` in an access log.
    H2Preface = "h2-preface";
    /// An access line by which the server closed on purpose without an answer: HAProxy's `PR` state without a status,
    /// Caddy's status 0 of `abort`. nginx's 444 needs no signature.
    ClosedByRule = "closed-by-rule";
}

/// A signature found in a line, with what the pattern captured.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct SigHit {
    /// Which.
    pub sig: Sig,
    /// Signal, errno, limit or duration: see the signature.
    pub num: Option<i64>,
    /// The process that the message is about (not the writer).
    pub pid: Option<u64>,
    /// Zone, pool, unit, process name or address.
    pub name: Option<Text>,
}

/// What is kept of an origin line. There may be hundreds of thousands: what few lines have is [`Details`], and what all of
/// them have takes as little room as it can.
#[derive(Clone, Debug)]
pub struct OriginEvent {
    /// When, as stated.
    pub time: Stated,
    /// Where it stands.
    pub at: LineRef,
    /// Ray (0: none).
    pub ray: u64,
    /// [`crate::key::request_key`] (0: names no request).
    pub request: u64,
    /// [`crate::key::host_key`].
    pub host: u64,
    /// [`crate::key::addr_key`] of the logged client.
    pub client: u64,
    /// Hash of the user agent as logged, unescaped (0: not in the line).
    pub agent: u64,
    /// Process id of the writer (FPM: of the child).
    pub pid: Num,
    /// Thread id.
    pub tid: Num,
    /// nginx connection id.
    pub cid: Num,
    /// See [`crate::line::Line::size`].
    pub size: Num,
    /// Signature, if the message has one. Most lines with one have the same.
    pub sig: Option<Arc<SigHit>>,
    /// Path without query, as logged; empty when the line names no request.
    pub path: Text,
    /// The record's text, decoded lossily, cut to 2,048 bytes; control bytes still in it.
    pub text: RecordText,
    /// What few lines have: see [`Self::details`].
    pub more: Option<Box<Details>>,
    /// Access status.
    pub status: Option<u16>,
    /// What it reports.
    pub kind: LineKind,
    /// Who wrote it.
    pub stack: Stack,
    /// Level.
    pub level: Option<Level>,
    /// True when `time` is the request's start.
    pub time_is_start: bool,
    /// See [`crate::line::Line::unsure_ray`].
    pub unsure_ray: bool,
    /// Message is raw text of clients or applications.
    pub raw_text: bool,
}

/// What only lines of some formats have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Details {
    /// Patterns of the user's configuration that the record matches, one bit each.
    pub own: u64,
    /// Hash of `%L`.
    pub log_id: u64,
    /// [`crate::key::addr_key`] of the second address in the line.
    pub visitor: u64,
    /// See [`crate::line::Line::bytes_sent`].
    pub bytes_sent: Option<u64>,
    /// See [`crate::line::Line::body_bytes`].
    pub body_bytes: Option<u64>,
    /// Duration in microseconds.
    pub duration_us: Option<u64>,
    /// See [`crate::line::Line::verified`].
    pub verified: Option<bool>,
    /// Last upstream status.
    pub upstream_status: Option<u16>,
    /// Other paths named in the message that matter to a rule (deepest PHP frame file).
    pub file: Text,
}

impl Details {
    /// Of a line that has none of this.
    const NONE: &Self = &Self {
        own: 0,
        log_id: 0,
        visitor: 0,
        bytes_sent: None,
        body_bytes: None,
        duration_us: None,
        verified: None,
        upstream_status: None,
        file: Text::new(),
    };

    /// As an event has them.
    pub fn boxed(self) -> Option<Box<Self>> {
        (self != *Self::NONE).then(|| Box::new(self))
    }
}

impl OriginEvent {
    /// A line that says nothing yet.
    pub const fn new(kind: LineKind, stack: Stack, at: LineRef) -> Self {
        Self {
            time: Stated::NONE,
            at,
            ray: 0,
            request: 0,
            host: 0,
            client: 0,
            agent: 0,
            pid: Num::NONE,
            tid: Num::NONE,
            cid: Num::NONE,
            size: Num::NONE,
            sig: None,
            path: Text::new(),
            text: RecordText::Plain(Text::new()),
            more: None,
            status: None,
            kind,
            stack,
            level: None,
            time_is_start: false,
            unsure_ray: false,
            raw_text: false,
        }
    }

    /// What only lines of some formats have.
    pub fn details(&self) -> &Details {
        self.more.as_deref().unwrap_or(Details::NONE)
    }

    /// The record's text.
    pub fn text(&self) -> Text {
        self.text.get()
    }

    /// When, as stated.
    pub fn time(&self) -> Option<LogTime> {
        self.time.get()
    }

    /// The line's ray, where it is relied upon alone.
    pub fn own_ray(&self) -> Option<u64> {
        (self.ray != 0 && !self.unsure_ray).then_some(self.ray)
    }

    /// Bytes that an access line says were sent: on the wire where it tells, else those of the body or of whichever it logs.
    pub fn sent(&self) -> Option<u64> {
        let details = self.details();
        details.bytes_sent.or(details.body_bytes).or(self.size.get())
    }

    /// An access line by which the server hung up on purpose: nginx's 444, or what other servers write for it.
    pub fn hung_up(&self) -> bool {
        self.kind == LineKind::Access && (self.status == Some(444) || self.sig.as_ref().is_some_and(|h| h.sig == Sig::ClosedByRule))
    }
}

/// What one source covers and how it was read. Merges by addition, union, minimum.
#[derive(Clone, Debug, Default)]
pub struct SourceScan {
    /// What the source is.
    pub info: SourceInfo,
    /// Physical lines.
    pub lines: u64,
    /// Records that were parsed.
    pub parsed: u64,
    /// Records that were not.
    pub rejected: u64,
    /// Sample of rejected lines.
    pub rejects: Vec<Reject>,
    /// Decompressed bytes.
    pub bytes: u64,
    /// Records by stated civil minute (digits as UTC, epoch seconds / 60).
    pub minutes: BTreeMap<i64, u32>,
    /// Zones written in its lines (seconds east), with counts; key `i32::MIN` counts lines without zone.
    pub zones: BTreeMap<i32, u64>,
    /// Earliest and latest stated civil time in nanoseconds.
    pub first_ns: Option<i64>,
    /// See `first_ns`.
    pub last_ns: Option<i64>,
    /// Records by kind of line.
    pub kinds: BTreeMap<LineKind, u64>,
    /// Records by stack.
    pub stacks: BTreeMap<Stack, u64>,
    /// Records by level.
    pub levels: BTreeMap<Level, u64>,
    /// Access lines that carry a ray in the ray position.
    pub with_ray: u64,
    /// Access lines whose client address lies in Cloudflare's ranges.
    pub edge_clients: u64,
    /// Access lines with a wire size (`$bytes_sent`, `%O`).
    pub with_wire_size: u64,
    /// Access lines by host key (0 when the format has no host), capped at 10,000 hosts.
    pub hosts: BTreeMap<u64, u64>,
    /// Who wrote lines of a web server's error log: lines about connections and lines about processes, by process
    /// id; reports of a child's death are not among them. Capped at the 4,096 smallest ids.
    pub writers: BTreeMap<u64, (u64, u64)>,
    /// Records without a stamp of their own: what children print raw into the log.
    pub unstamped: u64,
    /// Smallest nginx connection id seen with its stated time, for restarts: (cid, civil ns).
    pub lowest_cid: Option<(u64, i64)>,
    /// Host names in the syslog wrapper.
    pub syslog_hosts: BTreeMap<String, u64>,
    /// What is kept, ordered by (time, place). Boxed: they are sorted and handed on, and there may be hundreds of thousands.
    #[allow(clippy::vec_box)]
    pub events: Vec<Box<OriginEvent>>,
    /// Events not kept because one second held too many of one signature.
    pub folded: u64,
    /// A choice of its ordinary answers, where [`crate::IncidentIndex::answers`] asks for them.
    pub answers: Vec<AnsweredLine>,
    /// What went wrong while the source was read (ends early, became shorter, cap reached), one clause each.
    pub problems: Vec<String>,
}

impl SourceScan {
    /// The zone that most of its lines write, in seconds east of UTC; `None` when none writes one.
    pub fn written_zone_s(&self) -> Option<i64> {
        self.zones.iter().filter(|(zone, _)| **zone != i32::MIN).max_by_key(|(_, lines)| **lines).map(|(zone, _)| i64::from(*zone))
    }
}

/// What the origin pass leaves behind, one entry a source, in source order.
#[derive(Clone, Debug, Default)]
pub struct OriginScan {
    /// Sources.
    pub sources: Vec<SourceScan>,
    /// What is left of the events where memory was short: a clause for people.
    pub thinned: Option<String>,
    /// What was asked for, which may be more than the edge rows' own; `None`: what [`crate::EdgeScan::index`] gives.
    pub asked: Option<Arc<IncidentIndex>>,
}
