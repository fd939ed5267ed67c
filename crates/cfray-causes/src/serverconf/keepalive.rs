//! Keep-alive: whoever closes an idle connection before Cloudflare does loses the request that crosses the close.

use super::units::{apache_seconds, nginx_seconds, show_seconds};
use super::{Ctx, Fact, Found, Words, some};
use crate::limits;
use cfray_model::Cause;
use cfray_model::serverconf::{Directive, Weight};
use std::collections::BTreeMap;

const WHY: &str = "Cloudflare keeps idle connections to the origin for 900 s and sends the next request down the same line. A server that \
    closes earlier does so without a word; a request that crosses the close is answered by nobody, and what Cloudflare cannot repeat \
    shows as 520.";

/// Seconds for which Cloudflare keeps an idle connection.
fn idle_limit() -> f64 {
    limits::limit_at("cloudflare.proxy_idle_timeout", i64::MAX).map_or(900.0, |l| l.value as f64)
}

fn default_of(name: &str) -> f64 {
    limits::limit_at(name, i64::MAX).map_or(0.0, |l| l.value as f64)
}

/// nginx's timeouts by server, and counts of requests that end connections early.
pub fn nginx(c: &Ctx<'_>) -> Vec<Found> {
    // Servers with the same directive (or the same lack of one) are one finding.
    type Group<'d> = (Option<&'d Directive>, Vec<String>);
    let mut by: BTreeMap<(u32, u32), Group<'_>> = BTreeMap::new();
    for s in &c.nginx.servers {
        let d = s.last("keepalive_timeout");
        let slot = by.entry(d.map_or((u32::MAX, 0), |d| (d.file, d.line))).or_insert((d, Vec::new()));
        slot.1.extend(s.names.first().cloned().or_else(|| Some(s.title())));
    }
    if c.nginx.servers.is_empty() {
        let d = c.nginx.http.iter().rev().find_map(|level| level.iter().rfind(|d| d.name == "keepalive_timeout"));
        by.insert((0, 0), (d, Vec::new()));
    }
    let mut out = Vec::new();
    for (d, servers) in by.into_values() {
        let place = if servers.is_empty() { "http".to_owned() } else { format!("server {}", some(&servers, 3)) };
        let hosts = || c.nginx.servers.iter().filter(|s| same(s.last("keepalive_timeout"), d)).flat_map(|s| s.names.clone()).collect();
        let seconds = match d {
            Some(d) => nginx_seconds(d.arg()),
            None if c.tree.whole => Some(default_of("nginx.keepalive_timeout")),
            None => None,
        };
        let Some(seconds) = seconds else { continue };
        out.extend(timeout(c, "nginx-keepalive", d, seconds, place, nginx_fix(), "nginx", "").map(|f| f.of_hosts(hosts())));
    }
    for (around, d) in c.nginx.all.iter().filter(|(_, d)| d.name == "keepalive_requests") {
        if let Ok(n) = d.arg().parse::<u64>()
            && n < 100
        {
            out.push(few_requests(c, "nginx-keepalive", d, n, super::nginx::place(&c.nginx, around), "keepalive_requests 1000;"));
        }
    }
    out
}

fn same(a: Option<&Directive>, b: Option<&Directive>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => std::ptr::eq(a, b),
        (None, None) => true,
        _ => false,
    }
}

fn nginx_fix() -> String {
    "keepalive_timeout 910s; in http {}, with room for idle connections: worker_connections 4096; in events {}".to_owned()
}

/// Apache's timeouts by virtual host.
pub fn apache(c: &Ctx<'_>) -> Vec<Found> {
    let v = &c.apache;
    let mut out = Vec::new();
    let hosts = || std::iter::once(None).chain(v.hosts.iter().copied().map(Some));
    let mut seen: Vec<Option<*const Directive>> = Vec::new();
    for host in hosts() {
        let off = v.last(host, "KeepAlive").filter(|s| s.d.arg().eq_ignore_ascii_case("off"));
        if off.is_some() {
            continue;
        }
        let set = v.last(host, "KeepAliveTimeout");
        let key = set.map(|s| std::ptr::from_ref(s.d));
        if seen.contains(&key) {
            continue;
        }
        seen.push(key);
        let seconds = match set {
            Some(s) => apache_seconds(s.d.arg()),
            None if c.tree.whole => Some(default_of("apache.keepalive_timeout")),
            None => None,
        };
        let Some(seconds) = seconds else { continue };
        let place = set.map_or_else(|| "main server".to_owned(), super::apache::Setting::place);
        let condition = set.map(super::apache::Setting::condition).unwrap_or_default();
        let fix = apache_fix(c);
        let found = timeout(c, "apache-keepalive", set.map(|s| s.d), seconds, place, fix, "Apache", &condition);
        let own = set.is_some_and(|s| !s.around.is_empty());
        let names = host.filter(|_| own).map(|h| v.names(h)).unwrap_or_default();
        out.extend(found.map(|f| f.of_hosts(names)));
    }
    for s in v.each("MaxKeepAliveRequests") {
        if let Ok(n @ 1..100) = s.d.arg().parse::<u64>() {
            out.push(few_requests(c, "apache-keepalive", s.d, n, s.place(), "MaxKeepAliveRequests 1000"));
        }
    }
    out
}

/// A line to paste that does no harm: on prefork and worker each idle connection holds a process or thread.
fn apache_fix(c: &Ctx<'_>) -> String {
    match c.apache.mpm {
        Some("event") => "KeepAliveTimeout 910 (event: an idle connection costs a socket, not a thread)".to_owned(),
        Some(mpm) => {
            let workers = c.apache.last(None, "MaxRequestWorkers").or_else(|| c.apache.last(None, "MaxClients"));
            let workers = workers.map_or_else(|| "256 (default)".to_owned(), |s| s.d.arg().to_owned());
            format!(
                "Do not raise KeepAliveTimeout on {mpm}: each idle connection holds a worker, and MaxRequestWorkers {workers} of them stop \
                 the site. Change to event with PHP-FPM (a2dismod mpm_{mpm}; a2enmod mpm_event proxy_fcgi), then KeepAliveTimeout 910; or \
                 put nginx in front with keepalive_timeout 910s;"
            )
        }
        None => "On MPM event: KeepAliveTimeout 910. On prefork or worker do not raise it (each idle connection holds a worker; \
                 MaxRequestWorkers of them stop the site): change to event, or put nginx in front with keepalive_timeout 910s;"
            .to_owned(),
    }
}

#[allow(clippy::too_many_arguments)]
fn timeout(
    c: &Ctx<'_>,
    check: &str,
    d: Option<&Directive>,
    seconds: f64,
    place: String,
    fix: String,
    software: &str,
    condition: &str,
) -> Option<Found> {
    let limit = idle_limit();
    if seconds <= 0.0 || seconds > limit {
        return None;
    }
    let value = match d {
        Some(_) => format!("{}{condition}", show_seconds(seconds)),
        None => format!("{} ({})", show_seconds(seconds), c.default_note(software)),
    };
    let what = format!("idle connections are closed after {}, Cloudflare keeps them for {limit:.0} s", show_seconds(seconds));
    let found = c.found(check, Weight::Risk, d, Words { what, value, place, why: WHY, fix }, &[Cause::KeepaliveRace]);
    Some(found.shows(Fact::IdleClose(seconds)))
}

fn few_requests(c: &Ctx<'_>, check: &str, d: &Directive, n: u64, place: String, fix: &str) -> Found {
    let words = Words {
        what: format!("a connection ends after {n} requests"),
        value: format!("{n} requests"),
        place,
        why: "The end by count is announced (Connection: close), so it loses no request by itself; but each end costs Cloudflare a new \
              handshake, and over HTTP/2 a GOAWAY meets whatever is under way.",
        fix: fix.to_owned(),
    };
    c.found(check, Weight::Note, Some(d), words, &[Cause::Http2Fault])
}
