//! The origin closed the idle connection that Cloudflare was about to reuse.

use crate::chain;
use crate::doc::{CauseDoc, Fix};
use crate::join::coverage::Covered;
use crate::population::gaps::within_round_trip;
use crate::population::windows::{AFTER_MS, BEFORE_MS};
use crate::rule::{Case, Finding, sentence};
use cfray_model::time::MILLI;
use cfray_model::{Cause, EvidenceKind, Sig, Tie};

/// What a person may read about `keepalive-race`.
pub static DOC: CauseDoc = CauseDoc {
    cause: Cause::KeepaliveRace,
    says: "The origin closed an idle connection just as Cloudflare sent the next request on it.",
    why: "Cloudflare keeps connections to the origin open for up to 900 s after the last request and sends the next one down the same \
        line. The origin closes idle lines much earlier (nginx after 75 s, packaged 65 s; Apache after 5 s; Node after 5 s) and does \
        so without a word. If its close and Cloudflare's request cross on the way, the request meets a closed socket. Neither side \
        did anything wrong, the origin never saw a request, and no log has a line. The farther the data centre, the wider the window.\n\n\
        Cloudflare mostly hides this by a retry on a new connection; what shows as 520 is the rest, with more POSTs and uploads in it \
        [inferred from open-source Pingora].",
    evidence: "A reused connection (TCP and TLS handshake 0 ms with OriginIP present), failure within about one round trip of that \
        colo, no origin line although the log covers the moment, and idle gaps before the failures that gather at one constant or at \
        the configured timeout. Without the gap confidence is at most 0.6.",
    not_when: "A process died, the server stopped, or a rule dropped the request in the same second. A new connection (TCP time above \
        0): nothing was idle. An access line of the request exists. Mostly one kind of page fails, which others ask for seldom; or new \
        connections from the same edge address are refused right afterwards. The end by count (keepalive_requests, MaxKeepAliveRequests) is \
        announced with `Connection: close` and gives no race.",
    fix: Fix {
        owner: "Ask your host to raise the web server's keep-alive timeout above 900 s, or to put a proxy with such a timeout in \
            front. A few of these a day are normal noise and need no work.",
        admin: "nginx: `keepalive_timeout 910s;` and room for idle connections, `worker_connections 4096;` (default 512). Apache \
            event: `KeepAliveTimeout 910` costs a socket for each idle connection, not a thread (when workers run short it closes \
            idle ones all the same). Apache prefork or worker: do not, since each idle connection holds a process or thread, and with \
            MaxRequestWorkers 256 (prefork's default) 256 idle connections stop the site; change to event (with PHP-FPM) or put nginx \
            in front with `keepalive_timeout 910s;`. A load balancer in between needs an idle timeout above 900 s too.",
        developer: "Node: `server.keepAliveTimeout = 910_000; server.headersTimeout = 915_000;`. uvicorn: `--timeout-keep-alive 910`. \
            Make POSTs safe to repeat with an idempotency key.",
        client: "Retrying helps, nearly always at the first try, since it goes over a new connection: wait 1 s, then 2, 4, 8, 16 s. \
            The origin usually never saw the request, but you cannot be sure, so repeat a POST only with an idempotency key.",
    },
    check: "Which timeout is set? `nginx -T 2>/dev/null | grep keepalive_timeout` or `grep -Ri '^ *KeepAliveTimeout' /etc/apache2 \
        /etc/httpd`, and compare with idle_gap_s in the report: gaps at that value are the race. If they scatter, turn HTTP/2 to \
        Origin off for ten minutes: if the 520s stop, it is http2-fault.",
    often_blamed: "A keep-alive of 300 s at Cloudflare: third-party pages say so, the official page has said 900 s in every version \
        seen (last 2026-07-23). An origin timeout of 301 s is therefore still too short. Crashes and overload: they leave lines, this \
        leaves none.",
    sources: &[
        "developers.cloudflare.com, page \"Connection limits\", updated 2026-07-23",
        "cloudflare-docs speed/optimization/protocol/http2-to-origin.mdx @2020062",
        "cloudflare/pingora pingora-core v1/client.rs, v2/client.rs, pingora-proxy proxy_trait.rs @c0845a8 (2026-05-15)",
        "nginx src/http/ngx_http_request.c (ngx_http_keepalive_handler), ngx_http_core_module.c @3f6f782 (2026-08)",
        "apache/httpd 2.4.x include/httpd.h; manual, mod/event @f45abec1 (2024-10)",
        "nodejs default: modelence/modelence pull request 346",
        "measured: Debian 12, nginx 1.22.1, Apache 2.4, PHP and PHP-FPM 8.2, ModSecurity 2.9.7, haproxy 2.6",
    ],
};

/// The origin closed the idle connection while Cloudflare's request was on its way.
pub fn check(c: &Case<'_>) -> Option<Finding> {
    if c.row.reused() != Some(true) || !c.no_line() || !c.lines.is_empty() {
        return None;
    }
    let ms = c.failed_after_ms()?;
    if !within_round_trip(ms, c.rtt_ms) {
        return None;
    }
    let origin = c.row.origin_ip.as_deref().unwrap_or_default();
    // Cloudflare keeps a connection only after an answer: an address that never gave one loses no race.
    if c.p.origins.never_spoke(origin) && c.w.edge_kind == crate::join::world::EdgeKind::Full {
        return None;
    }
    let gap = c.fact_id.and_then(|f| c.p.gaps.of(f));
    let gathering =
        c.p.gaps
            .gathering(origin)
            .filter(|g| g.inside * 10 >= g.all * 6 && g.at_s >= 0.9 && g.reused_ok >= 10 && g.longer_ok * 20 <= g.reused_ok);
    let tick = c.row.precision_ns as f64 / 1e9;
    let (score, proof): (f64, _) = match (gathering, gap) {
        (Some(g), Some(gap)) => {
            let inside = gap >= 0.5 * g.at_s && (gap - g.at_s).abs() <= (0.12 * g.at_s).max(1.2 * tick).max(0.35);
            let text = format!(
                "idle for {gap:.1} s before; {} of {} such failures come {:.1} s after the last request, and {} of {} answered reuses come later",
                g.inside, g.all, g.at_s, g.longer_ok, g.reused_ok
            );
            (if inside { 0.94 } else { 0.68 }, Some(sentence(EvidenceKind::Contrast, text)))
        }
        // Near and without TLS even a new connection shows handshakes of 0 ms.
        (_, gap) if !surely_reused(c) => (0.45, gap.map(|g| sentence(EvidenceKind::Field, format!("idle for {g:.1} s before")))),
        // Without a constant, what the other failures look like decides whether it is worth naming.
        (_, gap) if c.p.gaps.silent(origin).other_than_idle() => {
            (0.4, gap.map(|g| sentence(EvidenceKind::Field, format!("idle for {g:.1} s before"))))
        }
        // Who is not let in any more had its connections closed by the same rule.
        (_, gap) if refused_since(c) => (0.45, gap.map(|g| sentence(EvidenceKind::Field, format!("idle for {g:.1} s before")))),
        // A process of the web server that ended in that second takes idle connections along, too.
        (_, gap) if !c.near(ENDS, BEFORE_MS, AFTER_MS).is_empty() => {
            (0.45, gap.map(|g| sentence(EvidenceKind::Field, format!("idle for {g:.1} s before"))))
        }
        (_, gap) => (0.6, gap.map(|g| sentence(EvidenceKind::Field, format!("idle for {g:.1} s before")))),
    };
    // The reset needs its way back, and a row that does not say whom it asked says nothing of reuse either.
    let too_fast = c.rtt_ms.is_some_and(|rtt| rtt >= 10.0 && (ms as f64) < 0.2 * rtt);
    // An ordinary line that may or may not be this request's speaks as much against as for.
    let score = if c.row.contacted().is_none() || c.open {
        score.min(0.45)
    } else if too_fast {
        score * 0.7
    } else {
        score
    };
    // Without a log that covers the moment, absence of a line means nothing.
    let score = match c.covered {
        Covered::Yes => score,
        Covered::Unclear if score > 0.6 => score * 0.9,
        // Nothing but the absence of a line, and that is not sure either.
        Covered::Unclear => score.min(0.45),
        Covered::No => score.min(0.45),
    };
    let mut f = Finding::new(DOC.cause, score, Tie::None).with_all(proof).with(c.timing());
    if c.silent() {
        f = f.with(c.absence());
    } else {
        f = f.lacking("an origin access log that covers the moment (a race leaves no line in it)");
    }
    Some(f)
}

/// New connections from the same edge address are refused or swallowed within this time, in milliseconds.
const REFUSED_MS: i64 = 60_000;

/// Was the edge address turned away from then on, while others were not?
fn refused_since(c: &Case<'_>) -> bool {
    let (Some(edge), Some(end)) = (c.row.edge_ip.as_deref(), c.end) else { return false };
    let from = end.lo.div_euclid(MILLI) - 1_000;
    c.p.origins.refused_by_edge(edge, from, from + REFUSED_MS) > 0 && chain::refused_after(c).is_none()
}

/// Ends of the web server's processes.
const ENDS: &[Sig] =
    &[Sig::NginxWorkerSignal, Sig::ApacheChildSignal, Sig::HaProxyWorkerSignal, Sig::NginxStop, Sig::ApacheStop, Sig::LighttpdStop];

/// Had the connection surely carried requests before? A handshake of less than a millisecond shows as 0, so a round trip has to
/// be long enough to be seen, and the failure itself has to have taken about one.
pub(crate) fn reused(c: &Case<'_>) -> bool {
    const SEEN_MS: f64 = 3.0;
    let took = c.failed_after_ms().unwrap_or(0) as f64;
    c.row.reused() == Some(true) && c.rtt_ms.is_some_and(|rtt| rtt >= SEEN_MS && took >= 0.5 * rtt)
}

/// Could a new connection have been told from a reused one? Handshakes are whole milliseconds: TLS always takes
/// some, TCP only where the colo is not next door.
fn surely_reused(c: &Case<'_>) -> bool {
    let tls = c.row.origin_tls.as_deref().is_some_and(|v| !matches!(v, "" | "none" | "unknown"));
    tls || c.rtt_ms.is_some()
}
