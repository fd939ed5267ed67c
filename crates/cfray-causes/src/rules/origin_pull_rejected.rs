//! The client certificate (Authenticated Origin Pulls) was refused after the handshake.

use crate::doc::{CauseDoc, Fix};
use crate::population::gaps::within_round_trip;
use crate::population::spoke_http;
use crate::rule::{Case, Finding, sentence};
use cfray_model::{Cause, EvidenceKind, FactFlags, Sig, Stack, Tie};

/// What a person may read about `origin-pull-rejected`.
pub static DOC: CauseDoc = CauseDoc {
    cause: Cause::OriginPullRejected,
    says: "The origin asked for Cloudflare's client certificate and hung up, because it was missing or not accepted.",
    why: "With Authenticated Origin Pulls the origin lets in only a client that shows Cloudflare's certificate. In TLS 1.3 the server \
        can refuse it after Cloudflare already holds the handshake for done and has sent the request: the refusal arrives where the \
        answer should be, a 520. In TLS 1.2 it is part of the handshake: 525. nginx takes neither way: it finishes the handshake and \
        answers a valid 400.",
    evidence: "Apache's AH02039, AH02276, AH02008, AH02010 or AH02011 of that moment; HAProxy's `SSL client certificate not trusted`, \
        `SSL client CA chain cannot be verified` or a handshake failure whose text names the missing certificate, or Caddy's (Go's) `TLS handshake error from ADDRESS: tls: client \
        didn't provide a certificate` at level debug, for that edge address and \
        moment; or a configured SSLVerifyClient and all new TLS \
        1.3 connections failing at once. For nginx: certificate lines together with 495 or 496 mapped to 444.",
    not_when: "nginx's own 400 `No required SSL certificate was sent`. A 525. Failures on reused connections only: the certificate is \
        checked when a connection begins.",
    fix: Fix {
        owner: "In the dashboard, under SSL/TLS, Origin Server, see whether Authenticated Origin Pulls is on for this zone. If the \
            origin demands the certificate, turn it on; if a certificate was renewed recently, tell the host.",
        admin: "Take the authority that signs what Cloudflare sends now: the one of the global setting, or your own if you uploaded a \
            certificate for zone or host name. Apache: `SSLCACertificateFile /etc/ssl/cloudflare-origin-pull-ca.pem`, \
            `SSLVerifyClient require`, `SSLVerifyDepth 1`, in the virtual host and not in a directory. nginx: `ssl_client_certificate \
            /etc/ssl/cloudflare-origin-pull-ca.pem; ssl_verify_client on;` and no mapping of 495 and 496 to 444. Turn the dashboard's \
            switch on before the server's, and off after it.",
        developer: "Nothing in the application. Health checks that go past Cloudflare need a certificate of their own or a name \
            without this demand.",
        client: "Retrying does not help: all new connections fail until the setting is right. Report it.",
    },
    check: "Show the refusal: `LogLevel warn ssl:info` in Apache (`error_log /var/log/nginx/error.log info;` in nginx), one request \
        through Cloudflare, then `grep -E 'AH0(2008|2010|2011|2039|2276)|required SSL certificate'` in the error log. Nothing there: \
        not this cause, look at worker-crash.",
    often_blamed: "nginx's `ssl_verify_client`: a missing certificate is a valid 400 (measured), although the Error 520 page lists a \
        mismatch as a cause of 520. Apache with TLS 1.2: 525. At level warn Apache writes nothing about a missing certificate, so an \
        empty log proves nothing.",
    sources: &[
        "developers.cloudflare.com, page \"Error 520\", updated 2026-06-16",
        "apache/httpd 2.4.x modules/ssl/ssl_engine_io.c, ssl_engine_kernel.c @f45abec1 (2024-10)",
        "nginx src/http/ngx_http_request.c @3f6f782 (2026-08)",
        "haproxy/haproxy src/connection.c (conn_err_code_str), src/session.c (session_kill_embryonic); issues 693 and 2583",
        "golang/go src/crypto/tls/handshake_server.go (processCertsFromClient), src/net/http/server.go (conn.serve)",
        "typisttech/trellis-cloudflare-origin-ca issue 34",
        "measured: Debian 12, nginx 1.22.1, Apache 2.4, PHP and PHP-FPM 8.2, ModSecurity 2.9.7, haproxy 2.6",
    ],
};

/// The client certificate was refused after Cloudflare thought the handshake done.
pub fn check(c: &Case<'_>) -> Option<Finding> {
    if let Some(o) = c.own(&[Sig::ClientCert]).filter(|_| c.hidden_failure()) {
        return Some(Finding::new(DOC.cause, 0.96, o.2).with(c.line(o.1)).with_all(c.access_line()));
    }
    if let Some((bare, shown)) = crate::dropped::without_certificate(c) {
        let text = format!(
            "closing follows the client certificate: {bare} lines that say none was accepted (NONE or FAILED) closed without an answer, and {shown} with SUCCESS were answered"
        );
        // Answers to whoever shows one are the other half of the contrast.
        let score = if shown >= 5 { 0.95 } else { 0.66 };
        let f = Finding::new(DOC.cause, score, c.access?.2).with_all(c.access_line()).with(sentence(EvidenceKind::Contrast, text));
        return Some(f.with(c.timing()).or_else(Cause::RuleDropped, 0.1));
    }
    let tls = c.row.origin_tls.as_deref().is_none_or(|t| t.starts_with("TLS"));
    if !c.no_line() || !tls {
        return None;
    }
    let server = c.server?;
    if let Some((_, ev)) = c.nearest(&[Sig::ApacheClientCert], 1_500, 1_500) {
        let contrast = c.p.windows.get(server, Sig::ApacheClientCert);
        // A line about this very edge address is this connection's, or that of one beside it, if it fails at once. A connection in
        // use was let in.
        let at_once = c.failed_after_ms().is_some_and(|ms| within_round_trip(ms, c.rtt_ms));
        let of_peer = at_once && c.row.reused() == Some(false) && c.edge_key() != 0 && ev.e.client == c.edge_key();
        let weight = if of_peer { contrast.weight().max(0.9) } else { contrast.weight() };
        let f = Finding::new(DOC.cause, 0.95 * weight * c.absence_weight(), Tie::Window).with(c.line(ev));
        return Some(f.with(sentence(EvidenceKind::Contrast, contrast.sentence("a client certificate was refused"))).with(c.timing()));
    }
    refused_by_name(c).or_else(|| silent_at_warn(c))
}

/// HAProxy and Go name the peer, so a line about this edge address at this moment is this connection's or its neighbour's.
fn refused_by_name(c: &Case<'_>) -> Option<Finding> {
    const NEAR_MS: i64 = 1_500;
    // In TLS 1.2 the refusal is part of the handshake: no request was sent. A connection in use was let in before.
    if c.row.reused() == Some(true) || c.row.origin_tls.as_deref().is_some_and(|t| t == "TLSv1.2") {
        return None;
    }
    let near = c.near(&[Sig::PeerClientCert], NEAR_MS, NEAR_MS);
    let edge = c.edge_key();
    let of_peer = near.iter().find(|(_, ev)| edge != 0 && ev.e.client == edge);
    let contrast = c.p.windows.get(c.server?, Sig::PeerClientCert);
    let (ev, score) = match of_peer {
        Some((_, ev)) => (*ev, 0.95 * c.absence_weight()),
        // Another edge address's line is another connection's; one of neither may be a balancer's in front.
        None => {
            let known = |key: u64| c.w.keys.iter().any(|k| k.edge_ip == key);
            let (_, ev) = near.iter().find(|(_, ev)| edge == 0 || ev.e.client == 0 || !known(ev.e.client))?;
            let told = c.w.by_sig.get(&(c.server?, Sig::PeerClientCert)).into_iter().flatten();
            let by_peer = told.filter_map(|&i| c.w.evs.get(i as usize)).any(|ev| ev.e.client != 0 && known(ev.e.client));
            if edge != 0 && by_peer {
                return None;
            }
            (*ev, 0.9 * contrast.weight() * c.absence_weight())
        }
    };
    let f = Finding::new(DOC.cause, score, Tie::Window).with(c.line(ev));
    Some(f.with(sentence(EvidenceKind::Contrast, contrast.sentence("a client certificate was refused"))).with(c.timing()))
}

/// Apache logs nothing of it at level warn: every new TLS 1.3 connection of those minutes fails at once.
fn silent_at_warn(c: &Case<'_>) -> Option<Finding> {
    let at_once = within_round_trip(c.failed_after_ms()?, c.rtt_ms);
    if c.stack() != Some(Stack::Apache) || c.row.origin_tls.as_deref() != Some("TLSv1.3") || c.row.reused() != Some(false) || !at_once {
        return None;
    }
    // Connections made before the setting changed go on; so look at seconds for "all", at minutes for "many".
    let at = c.row.start?.millis();
    let (from, to) = (at - 60_000, at + 60_000);
    let (origin, host) = (c.row.origin_ip.as_deref()?, c.row.host.as_deref().unwrap_or_default());
    let facts = &c.w.edge.facts;
    let first = facts.partition_point(|f| f.start_ms < from);
    let (mut failed, mut fine) = (0u64, 0u64);
    for f in facts.iter().skip(first).take_while(|f| f.start_ms <= to) {
        let here = c.w.edge.combos.get(f.combo as usize).is_some_and(|x| x.origin_ip == origin && x.host.eq_ignore_ascii_case(host));
        if here && f.flags.has(FactFlags::NEW) && f.flags.has(FactFlags::ORIGIN_TLS) {
            failed += u64::from(f.edge_status == 520);
            fine += u64::from(spoke_http(f) && (f.start_ms - at).abs() <= 5_000);
        }
    }
    (failed >= 10 && fine == 0).then(|| {
        let text = format!(
            "every new TLS 1.3 connection of these seconds failed right after the handshake ({failed} in two minutes), none was answered"
        );
        Finding::new(DOC.cause, 0.62 * c.absence_weight(), Tie::None)
            .with(sentence(EvidenceKind::Contrast, text))
            .with_all(c.silent().then(|| c.absence()))
            .with(c.timing())
            .lacking("Apache LogLevel ssl:info (AH02008, AH02276 name the refused certificate)")
            .or_else(Cause::Http2Fault, 0.2)
    })
}
