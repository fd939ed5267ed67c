//! Workers or connections were used up.

use crate::chain;
use crate::doc::{CauseDoc, Fix};
use crate::rule::{Case, Finding, sentence};
use cfray_model::{Cause, EvidenceKind, Sig, Stack, Tie};

/// What a person may read about `pool-exhausted`.
pub static DOC: CauseDoc = CauseDoc {
    cause: Cause::PoolExhausted,
    says: "The server had no free worker or connection left and closed the connection instead of answering.",
    why: "An nginx worker that has no connection slot left accepts Cloudflare's connection and closes it at once: on a plain port \
        that is a 520, on a TLS port mostly a 525. When slots only run short, nginx and Apache's event MPM close idle connections to \
        gain some; a request that Cloudflare has just put on one of those meets a close.\n\n\
        A full PHP-FPM pool behind nginx gives a valid 502 or 504. It becomes a 520 only where the site maps those to `return 444`.",
    evidence: "`worker_connections are not enough` without a `while ...` part; at most one such line a second is written and it \
        stands for all that were closed in that second. Or, for the same request, `connect() ... failed (11:` or `upstream timed out \
        (110:` with the pool full (`max_children`, uWSGI's `listen queue of socket ... full`) and a 444 in the access log. For reused connections: `reusing connections` or \
        AH00484 at that moment.",
    not_when: "The same lines with a valid 502, 503 or 504 in the access log and at the edge. MaxRequestWorkers reached on prefork: \
        requests wait in the queue and end as 524. A line that is just as frequent near succeeding requests.",
    fix: Fix {
        owner: "Ask your host to show how full the PHP pool was in that minute and to raise the number of workers as far as memory \
            allows. Page caching lowers the need most cheaply.",
        admin: "nginx: `worker_rlimit_nofile 16384;` at the top and `worker_connections 4096;` in `events` (default 512; a proxied \
            request takes two). FPM: raise `pm.max_children` (default 5) to what memory carries, but first see what fills it: \
            `request_slowlog_timeout = 5s` with `slowlog = /var/log/php-fpm.slow.log`. Answer overload instead of hiding it: \
            `error_page 502 503 504 /50x.html;`.",
        developer: "A pool fills because requests are slow. Give every call to another service a time limit of a few seconds, cache \
            what is the same for all, and move long work to a queue.",
        client: "Retrying helps if it is patient: 1, 2, 4, 8, 16 s with a little chance added, and fewer requests side by side. \
            Retrying at once adds to the load that caused the error.",
    },
    check: "Let nginx show when it takes idle connections away: `error_log /var/log/nginx/error.log warn;` (nginx 1.19.2 or later). \
        If 520s on reused connections come with `reusing connections` it is this; if not, it is the keep-alive race.",
    often_blamed: "Apache's MaxRequestWorkers (AH00161): measured, requests wait and the edge says 524. `pm.max_children` behind \
        nginx: valid 502 and 504. `accept4() failed (24: Too many open files)`: connections wait in the queue and may end as 522, not \
        as 520.",
    sources: &[
        "nginx src/core/ngx_connection.c, src/event/ngx_event_accept.c @3f6f782 (2026-08)",
        "apache/httpd 2.4.x server/mpm/event/event.c @f45abec1 (2024-10)",
        "php/php-src sapi/fpm/fpm/fpm_process_ctl.c",
        "php/php-src sapi/fpm/www.conf.in and php-fpm.conf.in",
        "measured: Debian 12, nginx 1.22.1, Apache 2.4, PHP and PHP-FPM 8.2, ModSecurity 2.9.7, haproxy 2.6",
    ],
};

/// Workers or connections were used up and the valid error was hidden, or the connection was closed at accept.
pub fn check(c: &Case<'_>) -> Option<Finding> {
    if c.hidden_failure() {
        let hidden = if c.closed_by_rule() { 1.0 } else { 0.88 };
        let full = || chain::pool_full(c);
        if let Some(o) = c.own(&[Sig::ConnectQueueFull, Sig::WorkerConnectionsUpstream]) {
            return Some(
                Finding::new(DOC.cause, 0.97 * hidden, o.2).with(c.line(o.1)).with_all(c.access_line()).with_all(full().map(|e| c.line(e))),
            );
        }
        if let Some(o) = c.own(&[Sig::UpstreamTimedOut, Sig::ProxyDispatch])
            && let Some(e) = full()
        {
            return Some(Finding::new(DOC.cause, 0.93 * hidden, o.2).with(c.line(o.1)).with(c.line(e)).with_all(c.access_line()));
        }
    }
    if !c.no_line() {
        return None;
    }
    let server = c.server?;
    if let Some((_, ev)) = c.nearest(&[Sig::WorkerConnections], 1200, 1200) {
        let contrast = c.p.windows.get(server, Sig::WorkerConnections);
        let f = Finding::new(DOC.cause, 0.95 * contrast.weight() * c.absence_weight(), Tie::Window).with(c.line(ev));
        return Some(f.with(sentence(EvidenceKind::Contrast, contrast.sentence("worker_connections ran out"))).with(c.timing()));
    }
    // nginx reaps what waits for a request: idle connections, and new ones whose first request is still on its way
    // (ngx_http_init_connection marks them reusable). Those fail within one round trip.
    let at_once = || c.failed_after_ms().is_some_and(|ms| crate::population::gaps::within_round_trip(ms, c.rtt_ms));
    let waits = c.row.reused() == Some(true) || (c.row.reused() == Some(false) && at_once());
    if waits && let Some((_, ev)) = c.nearest(&[Sig::ReusingConnections], 1200, 1200) {
        let contrast = c.p.windows.get(server, Sig::ReusingConnections);
        let f = Finding::new(DOC.cause, 0.9 * contrast.weight() * c.absence_weight(), Tie::Window).with(c.line(ev));
        return Some(f.with(sentence(EvidenceKind::Contrast, contrast.sentence("idle connections were reaped"))).with(c.timing()));
    }
    if c.row.reused() == Some(true) {
        // The event MPM closes idle connections when it is full, and says so once a start at most.
        let at_once = c.failed_after_ms().is_none_or(|ms| crate::population::gaps::within_round_trip(ms, c.rtt_ms));
        let full = c
            .near(&[Sig::ApacheMaxWorkers], 120_000, 60_000)
            .into_iter()
            .find(|(_, e)| !e.e.text().contains("mpm_prefork") && !e.e.text().contains("AH00161"));
        if let (Some((_, ev)), true, Some(Stack::Apache)) = (full, at_once, c.stack()) {
            return Some(
                Finding::new(DOC.cause, 0.62 * c.absence_weight(), Tie::Window)
                    .with(c.line(ev))
                    .with(c.timing())
                    .or_else(cfray_model::Cause::KeepaliveRace, 0.3),
            );
        }
    }
    None
}
