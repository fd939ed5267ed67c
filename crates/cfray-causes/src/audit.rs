//! Visibility: what these logs could not have shown, and the line to paste that reveals it.

use crate::join::world::{EdgeKind, World};
use cfray_model::report::AuditItem;
use cfray_model::{EdgeField, Level, LineKind, Stack};

/// Looks at every server and at the edge log.
pub fn audit(w: &World) -> Vec<AuditItem> {
    let mut out = Vec::new();
    edge(w, &mut out);
    for (i, _) in w.servers.iter().enumerate() {
        server(w, i, &mut out);
    }
    out.sort();
    out.dedup();
    out
}

fn item(server: &str, what: impl Into<String>, hides: impl Into<String>, paste: impl Into<String>) -> AuditItem {
    AuditItem { server: server.to_owned(), what: what.into(), hides: hides.into(), paste: paste.into() }
}

fn edge(w: &World, out: &mut Vec<AuditItem>) {
    let c = &w.edge.counters;
    if c.rows == 0 {
        out.push(item(
            "",
            "no Cloudflare Logpush rows",
            "which requests got a 520 at all",
            "Analytics & Logs > Logpush > Create a job: dataset http_requests, output NDJSON",
        ));
        return;
    }
    match w.edge_kind {
        EdgeKind::Filtered => out.push(item(
            "",
            "the Logpush job delivers failing requests only",
            "retries, and contrast with succeeding requests (edge-ip-blocked, client-blocked, keepalive-race)",
            "remove the job's filter, or keep it and accept less sure verdicts",
        )),
        EdgeKind::Sampled => {
            out.push(item("", "the Logpush job is sampled", "520s outside the sample; an absent row proves nothing", "\"sample_rate\": 1"))
        }
        _ => {}
    }
    let diagnostic = [
        EdgeField::RayId,
        EdgeField::EdgeStartTimestamp,
        EdgeField::EdgeEndTimestamp,
        EdgeField::OriginResponseStatus,
        EdgeField::ClientRequestHost,
        EdgeField::ClientRequestMethod,
        EdgeField::ClientRequestUri,
        EdgeField::ClientIp,
        EdgeField::ClientRequestUserAgent,
        EdgeField::EdgeColoCode,
        EdgeField::EdgeServerIp,
        EdgeField::OriginIp,
        EdgeField::OriginTcpHandshake,
        EdgeField::OriginTlsHandshake,
        EdgeField::OriginHeaderReceive,
        EdgeField::OriginDuration,
        EdgeField::OriginSslProtocol,
        EdgeField::CacheCacheStatus,
        EdgeField::ClientRequestSource,
        EdgeField::ParentRayId,
    ];
    let absent: Vec<EdgeField> = diagnostic.into_iter().filter(|f| !c.fields.contains_key(f.name())).collect();
    if !absent.is_empty() {
        let names: Vec<String> = absent.iter().map(|f| format!("\"{}\"", f.name())).collect();
        let costs: Vec<String> = absent.iter().map(|f| format!("{}: {}", f.name(), f.without())).collect();
        out.push(item(
            "",
            "Logpush fields that the job does not deliver",
            costs.join("; "),
            format!("\"field_names\": [..., {}]", names.join(", ")),
        ));
    }
    if c.precision_ns >= cfray_model::time::SECOND {
        out.push(item(
            "",
            "edge timestamps have whole-second resolution",
            "which of two events in one second came first",
            "\"timestamp_format\": \"rfc3339ns\"",
        ));
    }
}

fn server(w: &World, index: usize, out: &mut Vec<AuditItem>) {
    let Some(s) = w.servers.get(index) else { return };
    let name = s.name.as_str();
    let scans = || s.scans.iter().filter_map(|&i| w.scans.get(i));
    let has = |stack: Stack| scans().any(|x| x.stacks.contains_key(&stack));
    let access_lines: u64 = scans().filter_map(|x| x.kinds.get(&LineKind::Access)).sum();
    let with_ray: u64 = scans().map(|x| x.with_ray).sum();
    let wire: u64 = scans().map(|x| x.with_wire_size).sum();
    let (nginx, apache) = (s.stack == Some(Stack::Nginx), s.stack == Some(Stack::Apache));
    if !s.has_access {
        out.push(item(
            name,
            "no access log of the web server",
            "keepalive-race and every other verdict from absence; which requests were closed with 444",
            "",
        ));
    } else if with_ray * 2 < access_lines {
        let paste = if apache {
            "LogFormat \"%a %l %u %t \\\"%r\\\" %>s %B \\\"%{Referer}i\\\" \\\"%{User-Agent}i\\\" %O %D %L %{CF-Ray}i\" cf520"
        } else {
            "log_format cf520 '$remote_addr - $remote_user [$time_local] \"$request\" $status $body_bytes_sent \"$http_referer\" \"$http_user_agent\" $bytes_sent $request_time $connection $http_cf_ray';"
        };
        out.push(item(
            name,
            "the access log carries no ray",
            "which line belongs to which request: ties go by URI, client and second instead",
            paste,
        ));
    }
    if s.has_access && wire * 2 < access_lines {
        let paste = if apache { "%O and %B in the LogFormat (mod_logio)" } else { "$bytes_sent beside $body_bytes_sent in the log_format" };
        out.push(item(name, "the access log does not show bytes on the wire", "headers-too-large and server-io for certain", paste));
    }
    if !s.has_error {
        out.push(item(
            name,
            "no error log of the web server",
            "worker-crash, pool-exhausted, server-io, app-fatal and what a 444 hides",
            "",
        ));
    } else {
        let lowest = scans().filter(|x| x.kinds.contains_key(&LineKind::Error)).filter_map(|x| x.levels.keys().max().copied()).max();
        if nginx && lowest.is_none_or(|l| l < Level::Notice) {
            out.push(item(
                name,
                "nginx's error log shows nothing below level error",
                "server-restart (lifecycle lines are level notice)",
                "error_log /var/log/nginx/error.log notice;",
            ));
        }
        if nginx && lowest.is_none_or(|l| l < Level::Info) {
            out.push(item(
                name,
                "nginx's error log shows no info lines",
                "request-rejected over HTTP/2, client certificates, slow clients",
                "error_log /var/log/nginx/error.log info;",
            ));
        }
        if apache && lowest.is_none_or(|l| l < Level::Info) {
            out.push(item(
                name,
                "Apache's error log shows no info lines",
                "origin-pull-rejected, HTTP/2 failures, read timeouts",
                "LogLevel warn ssl:info http2:info reqtimeout:info",
            ));
        }
    }
    if has(Stack::Fpm) {
        let said = scans().any(|x| x.events.iter().any(|e| e.text.contains("said into std")));
        if !said && !w.evs.iter().any(|e| e.server == index && e.e.text.contains("said into std")) {
            out.push(item(
                name,
                "PHP-FPM does not log what its children print",
                "fatals that PHP writes to standard error",
                "catch_workers_output = yes",
            ));
        }
    }
    if !has(Stack::Kernel) {
        out.push(item(
            name,
            "no kernel log",
            "oom-kill (Apache says nothing of a SIGKILL) and segfaults",
            "journalctl -k -o short-iso > kernel.log",
        ));
    }
}
