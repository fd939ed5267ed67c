//! The listener expects PROXY protocol, which Cloudflare does not speak.

use super::keepalive_race::reused;
use crate::doc::{CauseDoc, Fix};
use crate::dropped;
use crate::join::Ev;
use crate::rule::{Case, Finding, sentence};
use cfray_model::{Cause, EvidenceKind, Sig, Tie};
use std::net::IpAddr;

/// What a person may read about `proxy-protocol`.
pub static DOC: CauseDoc = CauseDoc {
    cause: Cause::ProxyProtocol,
    says: "The origin's port expects an extra first line from a load balancer, which Cloudflare does not send.",
    why: "A listener with PROXY protocol on reads one line with the client's address before the HTTP request. Cloudflare sends the \
        request at once, nginx takes it for a broken line and closes. Every request to that port fails: on a plain port with 520, on \
        a TLS port with 525.",
    evidence: "nginx's `broken header: \"...\" while reading PROXY protocol`, which quotes the raw request, its CF-RAY header \
        included, for every request to that listener. HAProxy (`accept-proxy`) writes `Received something which does not look like a \
        PROXY protocol header` with the address of the peer: it has to be the edge address of the request. Apache writes nothing about a connection without the header, only \
        AH03492 `RemoteIPProxyProtocol: enabled on ADDRESS:PORT` at its start: then OriginIP has to be that address and no request to it may \
        have been answered.",
    not_when: "A TLS port: the same mistake fails before the handshake, so the edge says 525. A few such lines from scanners while \
        other requests to that port are answered.",
    fix: Fix {
        owner: "Ask your host whether a load balancer was removed or bypassed: the web server still waits for what it used to send. \
            Point the DNS record back to the load balancer, or have the listener changed.",
        admin: "Take `proxy_protocol` off the port that Cloudflare uses, in every server block of that address and port: `listen 80;` \
            in place of `listen 80 proxy_protocol;`, and `real_ip_header CF-Connecting-IP;` in place of `real_ip_header \
            proxy_protocol;`. HAProxy: no `accept-proxy` on the `bind` line. Apache: `RemoteIPProxyProtocol Off` in the virtual host of that address and port. If a load balancer needs it as well, give it a port of its own.",
        developer: "Nothing in the application is at fault. In tests of the deployment, ask the public port once in plain HTTP.",
        client: "Retrying does not help: every request fails until the configuration is changed. Report it.",
    },
    check: "`curl -sS -o /dev/null -w '%{http_code}\\n' --resolve HOST:80:ORIGIN_IP http://HOST/` against the same with \
        `--haproxy-protocol`: if only the second answers, it is this cause. If both fail, look for a 444 rule.",
    often_blamed: "A block of Cloudflare's addresses: that leaves no quoted requests in the error log, this quotes every one.",
    sources: &[
        "apache/httpd 2.4.x modules/metadata/mod_remoteip.c (remoteip_hook_post_config, remoteip_input_filter)",
        "haproxy/haproxy src/connection.c (conn_recv_proxy, conn_err_code_str)",
        "nginx src/core/ngx_proxy_protocol.c @3f6f782 (2026-08)",
        "measured: Debian 12, nginx 1.22.1, Apache 2.4, PHP and PHP-FPM 8.2, ModSecurity 2.9.7, haproxy 2.6",
    ],
};

/// The listener waited for a PROXY header and got an HTTP request.
pub fn check(c: &Case<'_>) -> Option<Finding> {
    if !c.no_line() {
        return None;
    }
    refused(c).or_else(|| announced(c))
}

/// Requests asked of an address that was never answered, at least.
const ASKED: u64 = 3;

/// Apache closes a connection without the header and writes nothing; at its start it says which listeners want one.
fn announced(c: &Case<'_>) -> Option<Finding> {
    let name = c.row.origin_ip.as_deref()?;
    // "Every request" is what such a listener fails.
    if !c.p.origins.never_spoke(name) {
        return None;
    }
    let (ev, exact) = announced_for(c)?;
    let (asked, failed) =
        c.p.origins.by_host.iter().filter(|((_, o), _)| o == name).fold((0, 0), |sum, (_, n)| (sum.0 + n.asked, sum.1 + n.failed));
    if failed < ASKED {
        return None;
    }
    let score: f64 = if exact { 0.93 } else { 0.7 };
    let text = format!(
        "{name} gave no usable answer to any of {asked} requests, as a listener does that takes only connections with a PROXY header"
    );
    let f = Finding::new(DOC.cause, score * c.absence_weight().max(0.9), Tie::None).with(c.line(ev));
    Some(f.with(sentence(EvidenceKind::Contrast, text)).with(c.timing()))
}

/// Apache's line about a listener that may be the one behind the row's OriginIP, and whether it names that address. Of
/// several starts the last before the request.
pub(super) fn announced_for<'w>(c: &Case<'w>) -> Option<(&'w Ev, bool)> {
    let origin: IpAddr = c.row.origin_ip.as_deref()?.parse().ok()?;
    let lines = (0..c.w.servers.len()).filter_map(|s| c.w.by_sig.get(&(s, Sig::ProxyProtocolOn))).flatten();
    let known = lines.filter_map(|&i| c.w.evs.get(i as usize)).filter_map(|ev| Some((ev, listener(ev.e.sig.as_ref()?.name.as_deref()?)?)));
    let at = c.end?.lo;
    let late = |ev: &Ev| ev.utc.map_or(i64::MAX, |u| if u.lo <= at { at - u.lo } else { i64::MAX / 2 });
    let fits = known.filter(|(_, of)| *of == origin || (of.is_unspecified() && c.server.is_some()));
    fits.map(|(ev, of)| (ev, of == origin)).min_by_key(|(ev, exact)| (!exact, late(ev)))
}

/// `192.0.2.179:80`, `:::443` (IPv6 without brackets): the address.
fn listener(name: &str) -> Option<IpAddr> {
    name.rsplit_once(':')?.0.parse().ok()
}

/// The listener waited for a PROXY header and says what it got.
fn refused(c: &Case<'_>) -> Option<Finding> {
    // Anybody can reach the port past Cloudflare and be refused there: only what the edge's own connection met counts.
    let mut near = c.near(&[Sig::ProxyProtocol], 2_000, 2_000);
    // The header opens a connection: one that carried requests before was past that. A front's own connections are its affair.
    let opened = !reused(c);
    let ray = c.row.ray.map_or(0, |r| r.0);
    let may_be = |ev: &Ev| opened || (ray != 0 && ev.e.ray == ray);
    near.retain(|(_, ev)| (may_be(ev) && dropped::by_edge_address(c, ev)) || from_local_front(ev));
    let contrast = c.p.windows.get(c.server?, Sig::ProxyProtocol);
    // The request is quoted in the message; clients write it, so it supports but does not tie.
    let named = near.iter().find(|(_, e)| ray != 0 && e.e.ray == ray);
    let (_, ev) = named.or(near.first())?;
    let score = if named.is_some() { 0.96 } else { 0.9 * contrast.weight() * c.absence_weight() };
    let f = Finding::new(DOC.cause, score, Tie::Window).with(c.line(ev));
    Some(f.with(sentence(EvidenceKind::Contrast, contrast.sentence("a connection without PROXY header was refused"))).with(c.timing()))
}

/// A front on the machine or its own network passed Cloudflare's connection on.
fn from_local_front(ev: &Ev) -> bool {
    let text = ev.e.text();
    let tail = text.rsplit_once(", client: ").map(|(_, tail)| tail);
    tail.and_then(|t| t.split([',', ' ']).next()?.parse().ok()).is_some_and(cfray_formats::fields::addr::is_local)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_as_apache_names_them() {
        assert_eq!(listener("192.0.2.179:80"), "192.0.2.179".parse().ok());
        assert_eq!(listener(":::443"), "::".parse().ok());
        assert_eq!(listener("2001:db8::1:443"), "2001:db8::1".parse().ok());
        assert_eq!(listener("*"), None);
    }
}
