//! Visibility: what these logs could not have shown, and the line to paste that reveals it.
//!
//! Items come in the order in which they are worth changing: a log that is not there before a level that hides
//! lines, that before a field. Of the items that hide a cause the first is therefore the one change to make.

use crate::join::world::{EdgeKind, Server, World};
use crate::sources;
use crate::tally::{Tallies, Tally};
use cfray_model::report::AuditItem;
use cfray_model::time::SECOND;
use cfray_model::{Cause, EdgeField, Level, LineKind, SourceScan, Stack};

/// Looks at every server and at the edge log. What depends on incidents and their lines is asked of `tallies`: the world may be
/// the one that clocks were measured with, and the incidents those of many slices.
pub fn audit(w: &World, tallies: &Tallies) -> Vec<AuditItem> {
    let none = Tally::default();
    let mut out = Vec::new();
    edge_log(w, &mut out);
    if w.servers.is_empty() {
        out.push(no_origin());
    }
    for s in &w.servers {
        let server = Look { w, s, tally: tallies.get(&s.name).unwrap_or(&none) };
        server.logs(&mut out);
        server.coverage(&mut out);
        server.levels(&mut out);
        server.fields(&mut out);
    }
    edge_fields(w, &mut out);
    let mut seen = std::collections::BTreeSet::new();
    out.retain(|item| seen.insert(item.clone()));
    out
}

fn item(server: &str, what: impl Into<String>, hides: impl Into<String>, causes: &[Cause], paste: impl Into<String>) -> AuditItem {
    AuditItem { server: server.to_owned(), what: what.into(), hides: hides.into(), paste: paste.into(), causes: causes.to_vec() }
}

/// Causes that show in a comparison with succeeding requests.
const BY_CONTRAST: &[Cause] = &[Cause::EdgeIpBlocked, Cause::ClientBlocked, Cause::KeepaliveRace, Cause::WrongOrigin, Cause::EdgeIncident];
/// Causes that a web server's error log names.
const BY_ERROR_LOG: &[Cause] = &[
    Cause::WorkerCrash,
    Cause::PoolExhausted,
    Cause::TimeoutKill,
    Cause::ServerRestart,
    Cause::ServerIo,
    Cause::AppFatal,
    Cause::PluginFault,
    Cause::Throttled,
    Cause::MalformedResponse,
    Cause::BackendClosed,
    Cause::ProxyProtocol,
    Cause::Http2Fault,
    Cause::RequestRejected,
    Cause::OriginPullRejected,
];
/// Causes that an access line, or its absence, tells from others.
const BY_ACCESS_LOG: &[Cause] = &[
    Cause::KeepaliveRace,
    Cause::EdgeIpBlocked,
    Cause::ClientBlocked,
    Cause::RuleDropped,
    Cause::HeadersTooLarge,
    Cause::ServerIo,
    Cause::MalformedResponse,
    Cause::Origin520,
];
/// Verdicts that rest on a line not being there.
const BY_ABSENCE: &[Cause] = &[Cause::KeepaliveRace, Cause::WrongOrigin, Cause::OriginPullRejected];

const NGINX_FORMAT: &str = "log_format cf520 '$remote_addr - $remote_user [$time_local] \"$request\" $status $body_bytes_sent \"$http_referer\" \"$http_user_agent\" $bytes_sent $request_time $connection $http_cf_ray';";
const APACHE_FORMAT: &str =
    "LogFormat \"%a %l %u %t \\\"%r\\\" %>s %B \\\"%{Referer}i\\\" \\\"%{User-Agent}i\\\" %O %D %L %{CF-Ray}i\" cf520";

fn edge_log(w: &World, out: &mut Vec<AuditItem>) {
    if w.edge.counters.rows == 0 {
        let all: Vec<Cause> = Cause::ALL.iter().copied().filter(|c| BY_CONTRAST.contains(c) || *c == Cause::Origin520).collect();
        out.push(item(
            "",
            "no Cloudflare Logpush rows",
            "which requests got a 520 at all, and every comparison of failing with succeeding requests",
            &all,
            "Analytics & Logs > Logpush > Create a job: dataset http_requests, output NDJSON, \"timestamp_format\": \"rfc3339ns\"",
        ));
        return;
    }
    match w.edge_kind {
        EdgeKind::Filtered => out.push(item(
            "",
            "the Logpush job delivers failing requests only",
            "retries, and contrast with succeeding requests",
            BY_CONTRAST,
            "\"filter\": \"\"",
        )),
        EdgeKind::Sampled => out.push(item(
            "",
            "the Logpush job is sampled",
            "520s outside the sample; an absent row proves nothing",
            BY_CONTRAST,
            "\"sample_rate\": 1",
        )),
        _ => {}
    }
}

/// Fields, and the causes that lean on each.
const FIELDS: &[(EdgeField, &[Cause])] = &[
    (EdgeField::RayId, &[]),
    (EdgeField::EdgeStartTimestamp, BY_CONTRAST),
    (EdgeField::EdgeEndTimestamp, &[Cause::KeepaliveRace]),
    (EdgeField::OriginResponseStatus, &[Cause::HeadersTooLarge, Cause::Origin520]),
    (EdgeField::ClientRequestHost, &[Cause::WrongOrigin]),
    (EdgeField::ClientRequestMethod, &[]),
    (EdgeField::ClientRequestUri, &[]),
    (EdgeField::ClientIp, &[Cause::ClientBlocked]),
    (EdgeField::ClientRequestUserAgent, &[Cause::ClientBlocked]),
    (EdgeField::EdgeColoCode, &[Cause::EdgeIncident]),
    (EdgeField::EdgeServerIp, &[Cause::EdgeIpBlocked, Cause::KeepaliveRace, Cause::EdgeIncident]),
    (EdgeField::OriginIp, &[Cause::WrongOrigin, Cause::EdgeIncident]),
    (EdgeField::OriginTcpHandshake, &[Cause::KeepaliveRace, Cause::OriginPullRejected]),
    (EdgeField::OriginTlsHandshake, &[Cause::KeepaliveRace]),
    (EdgeField::OriginHeaderReceive, &[Cause::KeepaliveRace, Cause::OriginPullRejected]),
    (EdgeField::OriginDuration, &[Cause::KeepaliveRace]),
    (EdgeField::OriginSslProtocol, &[Cause::OriginPullRejected]),
    (EdgeField::CacheCacheStatus, &[Cause::EdgeIncident]),
    (EdgeField::ClientRequestSource, &[Cause::EdgeIncident]),
    (EdgeField::ParentRayId, &[Cause::EdgeIncident]),
];

fn edge_fields(w: &World, out: &mut Vec<AuditItem>) {
    let c = &w.edge.counters;
    if c.rows == 0 {
        return;
    }
    let absent: Vec<&(EdgeField, &[Cause])> = FIELDS.iter().filter(|(f, _)| !c.fields.contains_key(f.name())).collect();
    if !absent.is_empty() {
        let names: Vec<String> = absent.iter().map(|(f, _)| format!("\"{}\"", f.name())).collect();
        let costs: Vec<String> = absent.iter().map(|(f, _)| format!("{}: {}", f.name(), f.without())).collect();
        let mut causes: Vec<Cause> = absent.iter().flat_map(|(_, causes)| causes.iter().copied()).collect();
        causes.sort();
        causes.dedup();
        out.push(item(
            "",
            "Logpush fields that the job does not deliver",
            costs.join("; "),
            &causes,
            format!("\"field_names\": [..., {}]", names.join(", ")),
        ));
    }
    if c.precision_ns >= SECOND {
        out.push(item(
            "",
            "edge timestamps have whole-second resolution",
            "which of two events in one second came first",
            &[Cause::KeepaliveRace, Cause::WorkerCrash, Cause::ServerRestart],
            "\"timestamp_format\": \"rfc3339ns\"",
        ));
    }
}

fn no_origin() -> AuditItem {
    let mut causes: Vec<Cause> = BY_ERROR_LOG.iter().chain(BY_ACCESS_LOG).copied().chain([Cause::OomKill, Cause::WrongOrigin]).collect();
    causes.sort();
    causes.dedup();
    item(
        "",
        "no log of an origin server",
        "what the server did with any request: nearly every cause stays unknown",
        &causes,
        "tar czf origin-logs.tgz /var/log/nginx /var/log/apache2 /var/log/php*-fpm.log /var/log/kern.log",
    )
}

/// One server.
struct Look<'a> {
    w: &'a World,
    s: &'a Server,
    tally: &'a Tally,
}

impl Look<'_> {
    fn scans(&self) -> impl Iterator<Item = &SourceScan> {
        self.s.scans.iter().filter_map(|&i| self.w.scans.get(i))
    }

    fn has(&self, stack: Stack) -> bool {
        self.scans().any(|x| x.stacks.contains_key(&stack))
    }

    fn is(&self, stack: Stack) -> bool {
        self.s.stack == Some(stack)
    }

    fn add(&self, out: &mut Vec<AuditItem>, what: &str, hides: &str, causes: &[Cause], paste: &str) {
        out.push(item(&self.s.name, what, hides, causes, paste));
    }

    /// Logs that are not there.
    fn logs(&self, out: &mut Vec<AuditItem>) {
        let apache = self.is(Stack::Apache);
        if !self.s.has_access {
            let paste = if apache { "CustomLog ${APACHE_LOG_DIR}/access.log cf520" } else { "access_log /var/log/nginx/access.log cf520;" };
            let hides = "which requests arrived and how they were closed: a 444, an empty answer, none at all";
            self.add(out, "no access log of the web server", hides, BY_ACCESS_LOG, paste);
        }
        if !self.s.has_error {
            let paste = if apache { "ErrorLog ${APACHE_LOG_DIR}/error.log" } else { "error_log /var/log/nginx/error.log info;" };
            let hides = "deaths, stops, limits and upstream failures, and what a 444 hides";
            self.add(out, "no error log of the web server", hides, BY_ERROR_LOG, paste);
        }
        if !self.has(Stack::Fpm) && self.tally.fastcgi {
            let causes = [Cause::WorkerCrash, Cause::OomKill, Cause::TimeoutKill, Cause::PoolExhausted];
            let paste = "error_log = /var/log/php-fpm.log\nlog_level = notice";
            self.add(out, "no log of PHP-FPM", "how its children ended: by signal, by time limit, for lack of workers", &causes, paste);
        }
        if !self.has(Stack::Kernel) {
            let hides = "kills for lack of memory (Apache says nothing of a SIGKILL) and segfaults";
            let causes = [Cause::OomKill, Cause::WorkerCrash];
            self.add(out, "no kernel log", hides, &causes, "journalctl -k -o short-iso-precise --utc > kernel.log");
        }
    }

    /// Logs that are there and do not reach everywhere, or whose times mean nothing.
    fn coverage(&self, out: &mut Vec<AuditItem>) {
        let names: Vec<&str> = self.scans().map(|x| x.info.name.as_str()).collect();
        for (beside, lacking) in sources::missing_files(&names) {
            let access = self.scans().any(|x| x.info.name == beside && x.kinds.contains_key(&LineKind::Access));
            let file = |name: &str| name.rsplit('/').next().unwrap_or(name).to_owned();
            let files: Vec<String> = lacking.iter().map(|n| file(n)).collect();
            out.push(item(
                &self.s.name,
                format!("the rotated set of {beside} has a hole: {} missing", files.join(", ")),
                "everything of that time",
                if access { BY_ABSENCE } else { BY_ERROR_LOG },
                files.iter().map(|f| format!("find /var/log -name '{f}*'")).collect::<Vec<_>>().join("\n"),
            ));
        }
        if self.s.has_access && self.w.edge_kind == EdgeKind::Full {
            let Tally { incidents, uncovered, .. } = self.tally;
            if *uncovered > 0 {
                out.push(item(
                    &self.s.name,
                    format!("the access log does not cover {uncovered} of {incidents} 520s"),
                    "whether those left a line",
                    BY_ABSENCE,
                    "find /var/log/nginx /var/log/apache2 /var/log/httpd -name '*access*' -newermt '2 weeks ago'",
                ));
            }
        }
        for &i in &self.s.scans {
            let Some(x) = self.w.scans.get(i).filter(|x| x.kinds.keys().any(|k| *k != LineKind::Other)) else { continue };
            if !self.tally.clocked.contains(&x.info.name) && x.first_ns.is_some() {
                out.push(item(
                    &self.s.name,
                    format!("the clock of {} is not known", x.info.name),
                    "everything that its lines show by their time alone",
                    &[Cause::WorkerCrash, Cause::OomKill, Cause::ServerRestart, Cause::PoolExhausted],
                    format!("cfray analyze --tz '{}=Europe/Berlin' ...", x.info.name),
                ));
            }
        }
    }

    /// Levels that hide lines.
    fn levels(&self, out: &mut Vec<AuditItem>) {
        if self.s.has_error {
            let lowest =
                self.scans().filter(|x| x.kinds.contains_key(&LineKind::Error)).filter_map(|x| x.levels.keys().max().copied()).max();
            let (nginx, apache) = (self.is(Stack::Nginx), self.is(Stack::Apache));
            if nginx && lowest.is_none_or(|l| l < Level::Notice) {
                let causes = [Cause::ServerRestart, Cause::WorkerCrash];
                let paste = "error_log /var/log/nginx/error.log notice;";
                self.add(
                    out,
                    "nginx's error log shows nothing below level error",
                    "stops, starts and reloads (level notice)",
                    &causes,
                    paste,
                );
            }
            if nginx && lowest.is_none_or(|l| l < Level::Info) {
                let causes = [Cause::RequestRejected, Cause::OriginPullRejected, Cause::Http2Fault];
                let hides = "requests refused over HTTP/2, client certificates, slow clients";
                self.add(out, "nginx's error log shows no info lines", hides, &causes, "error_log /var/log/nginx/error.log info;");
            }
            if apache && lowest.is_none_or(|l| l < Level::Info) {
                let causes = [Cause::OriginPullRejected, Cause::Http2Fault, Cause::RequestRejected];
                let hides = "client certificates, HTTP/2 failures, read timeouts";
                self.add(
                    out,
                    "Apache's error log shows no info lines",
                    hides,
                    &causes,
                    "LogLevel warn ssl:info http2:info reqtimeout:info",
                );
            }
        }
        if self.has(Stack::Fpm) && !self.tally.prints {
            let causes = [Cause::AppFatal, Cause::PluginFault];
            let hides = "fatals that PHP writes to standard error";
            self.add(out, "PHP-FPM does not log what its children print", hides, &causes, "catch_workers_output = yes");
        }
    }

    /// Columns of the access log.
    fn fields(&self, out: &mut Vec<AuditItem>) {
        if !self.s.has_access {
            return;
        }
        let apache = self.is(Stack::Apache);
        let access: u64 = self.scans().filter_map(|x| x.kinds.get(&LineKind::Access)).sum();
        let with_ray: u64 = self.scans().map(|x| x.with_ray).sum();
        let wire: u64 = self.scans().map(|x| x.with_wire_size).sum();
        if with_ray * 2 < access {
            self.add(
                out,
                "the access log carries no ray",
                "which line belongs to which request: ties go by URI, client and second instead",
                BY_ACCESS_LOG,
                if apache { APACHE_FORMAT } else { NGINX_FORMAT },
            );
        }
        if wire * 2 < access {
            let paste =
                if apache { "%O and %B in the LogFormat (mod_logio)" } else { "$bytes_sent beside $body_bytes_sent in the log_format" };
            let causes = [Cause::HeadersTooLarge, Cause::ServerIo];
            self.add(
                out,
                "the access log does not show bytes on the wire",
                "how large the header was, and that nothing was sent",
                &causes,
                paste,
            );
        }
        let Tally { lines: n, connection, duration, .. } = *self.tally;
        if n > 0 && connection * 2 < n {
            let paste = if apache { "%L in the LogFormat" } else { "$connection in the log_format" };
            let causes = [Cause::AppFatal, Cause::TimeoutKill, Cause::PoolExhausted, Cause::RuleDropped];
            self.add(out, "the access log has no connection number", "which error lines go with a line of it", &causes, paste);
        }
        if n > 0 && duration * 2 < n {
            let paste = if apache { "%D in the LogFormat" } else { "$request_time in the log_format" };
            let hides = "whether a close came at once (a rule) or after a backend had been asked";
            self.add(out, "the access log has no durations", hides, &[Cause::RuleDropped, Cause::TimeoutKill], paste);
        }
    }
}
