//! The origin took HTTP/2 and could not speak it.

use crate::doc::{CauseDoc, Fix};
use crate::dropped;
use crate::join::Ev;
use crate::rule::{Case, Finding, sentence};
use cfray_model::{Cause, EvidenceKind, Sig, Stack, Tie, key};

/// What a person may read about `http2-fault`.
pub static DOC: CauseDoc = CauseDoc {
    cause: Cause::Http2Fault,
    says: "The origin agreed to speak HTTP/2 with Cloudflare and then could not.",
    why: "Cloudflare uses HTTP/2 to the origin when the TLS handshake offers it. If something in front (a TLS terminator or load \
        balancer) offers h2 and the server behind speaks only HTTP/1, the server reads the line `PRI * HTTP/2.0` and refuses it. Or \
        the server does speak HTTP/2 but ends the connection with an error: all requests that shared it fail in the same moment.",
    evidence: "`PRI * HTTP/2.0` in an access log with an address of Cloudflare or of a local terminator (127.0.0.1), GOAWAY or \
        preface errors, HAProxy's line of a session without a request (status 0, state `PR`, `<BADREQ>`) for that edge address and \
        moment, or bursts of 520s that shared one connection.",
    not_when: "`PRI` lines from scanners' addresses. Bursts that a stop or a worker crash explains. Oversized request headers over \
        HTTP/2: request-rejected.",
    fix: Fix {
        owner: "In the Cloudflare dashboard, in the Speed settings, turn `HTTP/2 to Origin` off. That is safe: visitors keep HTTP/2 \
            and HTTP/3 to Cloudflare. Then ask the host to repair it.",
        admin: "Do not offer what cannot be spoken. haproxy: `bind :443 ssl crt /etc/haproxy/site.pem alpn http/1.1`. nginx: remove \
            `http2` from `listen 443 ssl http2;` (from 1.25.1 `http2 off;`). Apache: `Protocols http/1.1`, above all with prefork, on \
            which mod_http2 does not work (AH10034). Or update the server, then turn it on again.",
        developer: "If your own server ends HTTP/2: keep to the stream limits it announces, send GOAWAY with the last stream before \
            closing, and let running streams finish.",
        client: "Retrying helps if failures come in bursts (1, 2, 4, 8, 16 s). If every request fails, it does not: report it.",
    },
    check: "Turn `HTTP/2 to Origin` off for ten minutes: if the 520s stop, it is this cause; if they go on, it is the keep-alive race \
        or a crash. Without the dashboard: `curl -sv --http2 -o /dev/null --resolve HOST:443:ORIGIN_IP https://HOST/` against \
        `--http1.1`.",
    often_blamed: "Visitors' HTTP/2 or HTTP/3: ClientRequestProtocol is the visitor's side, Logpush does not show which protocol was \
        used to the origin. On plans other than Enterprise multiplexing to the origin is on by default.",
    sources: &[
        "developers.cloudflare.com, page \"Error 520\", updated 2026-06-16",
        "cloudflare-docs speed/optimization/protocol/http2-to-origin.mdx @2020062",
        "nginx src/http/v2/ngx_http_v2.c @3f6f782 (2026-08)",
        "haproxy/haproxy src/mux_h2.c (h2c_frt_handle_headers, sess_log)",
        "apache/httpd 2.4.x modules/http2/ @f45abec1 (2024-10)",
        "cloudflare-docs logs/logpush/logpush-job/datasets/zone/http_requests.md @3eaa479",
        "measured: Debian 12, nginx 1.22.1, Apache 2.4, PHP and PHP-FPM 8.2, ModSecurity 2.9.7, haproxy 2.6",
    ],
};

/// HTTP/2 was negotiated and could not be spoken.
pub fn check(c: &Case<'_>) -> Option<Finding> {
    if !c.no_line() {
        return None;
    }
    let server = c.server?;
    for (sig, what, base) in
        [(Sig::H2Preface, "an HTTP/2 preface reached an HTTP/1 server", 0.95), (Sig::Http2Error, "an HTTP/2 connection failed", 0.9)]
    {
        let fits = |ev: &Ev| match sig {
            Sig::H2Preface => from_edge_or_terminator(c, ev),
            // HAProxy names the peer: the connection of another edge address is another's.
            _ => ev.e.stack != Stack::HaProxy || dropped::by_edge_address(c, ev),
        };
        if let Some((_, ev)) = c.near(&[sig], 2_000, 2_000).iter().find(|(_, ev)| fits(ev)) {
            let contrast = c.p.windows.get(server, sig);
            let of_peer = ev.e.stack == Stack::HaProxy && c.edge_key() != 0;
            let weight = if of_peer { 1.0 } else { contrast.weight() };
            let f = Finding::new(DOC.cause, base * weight * c.absence_weight(), Tie::Window).with(c.line(ev));
            return Some(f.with(sentence(EvidenceKind::Contrast, contrast.sentence(what))).with(c.timing()));
        }
    }
    None
}

/// Scanners send the preface, too: only Cloudflare's addresses and a terminator on the machine or its
/// own network count.
fn from_edge_or_terminator(c: &Case<'_>, ev: &crate::join::Ev) -> bool {
    if ev.e.client == 0 || c.w.keys.iter().any(|k| k.edge_ip == ev.e.client) {
        return true;
    }
    // The client's column, wherever the format has it: nothing else that stands in the line counts.
    ev.e.text()
        .split([' ', '\t', '|', ';', '"', '\'', ',', '[', ']', '(', ')', '='])
        .filter_map(|word| Some((word, word.parse::<std::net::IpAddr>().ok()?)))
        .any(|(word, addr)| key::addr_key(word.as_bytes()) == ev.e.client && cfray_formats::fields::addr::is_local(addr.to_canonical()))
}
