//! Workers, connections and children: what runs out closes or reaps connections.

use super::units::{fpm_seconds, show_seconds};
use super::{Ctx, Fact, Found, Words};
use crate::limits;
use cfray_model::Cause;
use cfray_model::serverconf::{Directive, Weight};

fn default_of(name: &str) -> i64 {
    limits::limit_at(name, i64::MAX).map_or(0, |l| l.value)
}

/// Below this many connections in all, keep-alive of 900 s fills them with idle ones on a busy site.
const FEW_CONNECTIONS: u64 = 2_048;

/// nginx's connections.
pub fn nginx(c: &Ctx<'_>) -> Vec<Found> {
    if !c.tree.whole {
        return Vec::new();
    }
    let events = c.nginx.all.iter().find(|(around, d)| d.name == "worker_connections" && around.last().is_some_and(|a| a.name == "events"));
    let d = events.map(|(_, d)| *d);
    let connections: u64 = d.map_or(default_of("nginx.worker_connections") as u64, |d| d.arg().parse().unwrap_or(u64::MAX));
    let workers = c.tree.directives.iter().rfind(|d| d.name == "worker_processes");
    let each = workers.is_some_and(|w| w.arg() == "auto");
    let count: u64 = if each { 1 } else { workers.map_or(1, |w| w.arg().parse().unwrap_or(1)) };
    if connections.saturating_mul(count) >= FEW_CONNECTIONS {
        return Vec::new();
    }
    let value = match d {
        Some(_) => connections.to_string(),
        None => format!("{connections} ({})", c.default_note("nginx")),
    };
    let times = if each { "for each core".to_owned() } else { format!("times {count} worker_processes") };
    let words = Words {
        what: format!("a worker has {connections} connections, those to the backend and idle ones included ({times})"),
        value,
        place: "events".to_owned(),
        why: "When they run short nginx closes idle keep-alive connections, on which Cloudflare may be sending; when none is left it closes new \
              ones at once. Both are 520s, with at most one line a second in the error log.",
        fix: "worker_connections 4096; in events {} (and worker_rlimit_nofile 8192; at the top)".to_owned(),
    };
    vec![c.found("nginx-capacity", Weight::Note, d, words, &[Cause::PoolExhausted]).shows(Fact::Limit)]
}

/// Apache's workers.
pub fn apache(c: &Ctx<'_>) -> Vec<Found> {
    let v = &c.apache;
    let set = v.each("MaxRequestWorkers").chain(v.each("MaxClients")).last();
    let prefork = v.mpm == Some("prefork");
    if set.is_none() && !(c.tree.whole && v.mpm.is_some()) {
        return Vec::new();
    }
    let default = default_of(if prefork { "apache.max_request_workers_prefork" } else { "apache.max_request_workers_event" });
    let workers: i64 = set.map_or(default, |s| s.d.arg().parse().unwrap_or(default));
    // A server limit below it counts.
    let server_limit = v.each("ServerLimit").last().and_then(|s| s.d.arg().parse::<i64>().ok());
    let workers = if prefork { server_limit.map_or(workers, |l| workers.min(l)) } else { workers };
    if workers >= 400 {
        return Vec::new();
    }
    let words = Words {
        what: match v.mpm {
            Some(mpm @ ("prefork" | "worker")) => {
                format!("{workers} workers on MPM {mpm}, and each idle connection of Cloudflare's holds one")
            }
            _ => format!("{workers} workers"),
        },
        value: match set {
            Some(s) => format!("{workers}{}", s.condition()),
            None => format!("{workers} ({})", c.default_note("Apache")),
        },
        place: "main server".to_owned(),
        why: "When they are used up requests wait (524); to get workers back event closes idle connections (AH00484), on which Cloudflare may be \
              sending: 520.",
        fix: match v.mpm {
            Some("prefork" | "worker") => {
                "change to MPM event with PHP-FPM; raise MaxRequestWorkers only as far as memory carries (free memory / size of a process)"
                    .to_owned()
            }
            _ => "MaxRequestWorkers 800 and ServerLimit 32 (ThreadsPerChild 25), if memory carries it".to_owned(),
        },
    };
    vec![c.found("apache-capacity", Weight::Note, set.map(|s| s.d), words, &[Cause::PoolExhausted]).shows(Fact::Limit)]
}

/// PHP-FPM's pools.
pub fn fpm(c: &Ctx<'_>) -> Vec<Found> {
    let mut out = Vec::new();
    for pool in c.tree.directives.iter().filter(|d| d.block.is_some() && d.arg() != "global") {
        let set = |name: &str| -> Option<&Directive> { pool.inside().iter().rfind(|d| d.name == name) };
        let place = format!("pool {}", pool.arg());
        let children = set("pm.max_children");
        if let Some(d) = children
            && let Ok(n) = d.arg().parse::<i64>()
            && n <= default_of("fpm.max_children")
        {
            let words = Words {
                what: format!("at most {n} scripts run at a time"),
                value: n.to_string(),
                place: place.clone(),
                why: "The next request waits; with the listen queue full connect() fails. nginx answers a valid 502 or 504, which a site that maps \
                      them to 444 turns into 520s.",
                fix: "pm.max_children = 20 (memory for PHP / size of a child), and pm.max_requests = 500".to_owned(),
            };
            out.push(c.found("fpm-capacity", Weight::Note, Some(d), words, &[Cause::PoolExhausted]).shows(Fact::Limit));
        }
        if let Some(d) = set("request_terminate_timeout")
            && let Some(seconds) = fpm_seconds(d.arg()).filter(|s| *s > 0.0)
        {
            let words = Words {
                what: format!("a script is killed after {}", show_seconds(seconds)),
                value: show_seconds(seconds),
                place,
                why: "A child that is killed gives no answer: nginx says 502, which a site that maps it to 444 turns into a 520.",
                fix: format!(
                    "keep it above the longest page (Cloudflare itself waits {} s) and set max_execution_time below it, so that PHP answers itself",
                    default_of("cloudflare.proxy_read_timeout")
                ),
            };
            out.push(c.found("fpm-capacity", Weight::Note, Some(d), words, &[Cause::TimeoutKill]).shows(Fact::Terminates(seconds)));
        }
    }
    out
}
