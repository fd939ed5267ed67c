//! The backend closed, and Apache passed the close on to Cloudflare.

use crate::chain;
use crate::doc::{CauseDoc, Fix};
use crate::rule::{Case, Finding, sentence};
use cfray_model::{Cause, EvidenceKind, Sig, Stack, Tie, key};

/// What a person may read about `backend-closed`.
pub static DOC: CauseDoc = CauseDoc {
    cause: Cause::BackendClosed,
    says: "The program behind the web server hung up, and the web server hung up on Cloudflare in turn.",
    why: "When a backend closes without an answer, Apache's mod_proxy sends a 502 only on the first request of a client connection. \
        On a later one it closes the client connection, so that the client may try again. Cloudflare's connections are reused, so \
        most of its requests are later ones: it gets a close and says 520, while Apache's access log says 502. Over HTTP/2 to the \
        origin it is always a reset, never a 502.",
    evidence: "Apache's AH01102 (`error reading status line from remote server`) without an AH00898 for the same request. The access \
        line, if there is one, says 502 with no bytes sent.",
    not_when: "AH01102 with AH00898 next to it: a valid 502 was sent. nginx in front of the backend: `upstream prematurely closed \
        connection` is a valid 502.",
    fix: Fix {
        owner: "Ask your host to look at the program behind Apache (Node, Java, Python, another Apache): it closes connections or \
            crashes. The ray IDs and the AH01102 lines show when.",
        admin: "Most often the backend closed an idle connection that Apache reused: `ProxyPass / http://127.0.0.1:3000/ \
            disablereuse=on` ends that, at the price of one local connection a request; on worker or event `ttl=4` does too if the \
            backend keeps idle ones 5 s (prefork ignores ttl). If AH01102 stays, the backend dies or drops: read its own log at that \
            second.",
        developer: "Keep idle connections longer than the proxy does (Node: `server.keepAliveTimeout = 65_000; server.headersTimeout \
            = 66_000;` with `ttl=60`), and do not exit on an unhandled exception without answering 500.",
        client: "Retrying helps: 1, 2, 4, 8, 16 s. Repeat a POST only with an idempotency key, since the backend may have begun the \
            work.",
    },
    check: "`grep -hE 'AH01102|AH00898' /var/log/apache2/*error.log | tail`: AH01102 alone is this cause, both together are a 502. \
        Then the backend's log at that second: a crash line there is the reason behind it, nothing there is an idle connection reused.",
    often_blamed: "A backend that closes behind nginx: a valid 502 (measured). Apache's access line with 502: it is no proof that a \
        502 was sent. AH01102 as such: with AH00898 the 502 did go out, and over HTTP/2 Apache 2.4.69 answers a \
        valid 500 without it (measured; its second access line says 502).",
    sources: &[
        "apache/httpd 2.4.x modules/proxy/mod_proxy_http.c lines 1108-1190, modules/http/http_filters.c @f45abec1 (2024-10)",
        "apache/httpd 2.4.x modules/http2/h2_c2.c @f45abec1 (2024-10)",
        "access.redhat.com/solutions/2381261 (ttl under prefork)",
        "measured: Debian 12, nginx 1.22.1, Apache 2.4, PHP and PHP-FPM 8.2, ModSecurity 2.9.7, haproxy 2.6",
    ],
};

/// The backend hung up and the web server passed that on.
pub fn check(c: &Case<'_>) -> Option<Finding> {
    if c.stack() == Some(Stack::Apache) || c.own(&[Sig::ProxyStatusLine]).is_some() {
        return apache(c);
    }
    // nginx answers 502; only a rule that turns it into a close makes it a 520.
    if !c.hidden_failure() {
        return None;
    }
    let o = c.own(&[Sig::UpstreamClosed, Sig::UpstreamReset, Sig::ConnectFailed, Sig::UpstreamNone])?;
    let fastcgi = chain::is_fastcgi(o.1);
    let died = chain::worker_death(c, o.1.utc?).is_some();
    // A uWSGI or SCGI worker has no idle connection to lose: it closes when it ends, and its own log would say why.
    let per_request = ["uwsgi://", "scgi://"].iter().any(|scheme| o.1.e.text().contains(scheme));
    let moment = o.1.utc?;
    // Why the backend closed stands in its own log: a death, a time limit, or nothing.
    let own_log = c.server.is_some_and(|server| chain::app_log_covers(c, server));
    let score = match (fastcgi, died || chain::backend_oom(c, moment).is_some()) {
        (_, true) => 0.1,
        (false, false) if per_request => 0.6,
        (false, false) if !own_log => 0.66,
        (false, false) => 0.9,
        (true, false) if chain::has_fpm_log(c) => 0.45,
        (true, false) => 0.4,
    };
    let f = Finding::new(DOC.cause, score, o.2).with(c.line(o.1)).with_all(c.access_line());
    Some(if per_request || !own_log { f.lacking("the application server's own log of that moment") } else { f })
}

fn apache(c: &Case<'_>) -> Option<Finding> {
    let refused = |e: &crate::join::Ev| matches!(e.e.status, Some(502));
    let a = c.access.filter(|a| refused(a.1));
    let fits = |ev: &crate::join::Ev| {
        let asked_by = match a {
            Some(a) => [a.1.e.client, a.1.e.details().visitor],
            None => [c.row.edge_ip.as_deref(), c.row.client_ip.as_deref()].map(|ip| ip.map_or(0, |ip| key::addr_key(ip.as_bytes()))),
        };
        (ev.e.client == 0 || asked_by == [0, 0] || asked_by.contains(&ev.e.client))
            && (ev.e.details().log_id == 0
                || a.is_none_or(|a| a.1.e.details().log_id == 0 || a.1.e.details().log_id == ev.e.details().log_id))
    };
    let sent = c.near(&[Sig::ProxyErrorSent], 1_500, 1_500);
    // AH00898 of the same process right after: a valid 502 went out.
    let answered = |ev: &crate::join::Ev| {
        sent.iter().any(|(_, e)| {
            fits(e)
                && e.e.pid == ev.e.pid
                && e.e.tid == ev.e.tid
                && e.utc.zip(ev.utc).is_some_and(|(x, y)| (x.mid() - y.mid()).abs() < 50_000_000)
        })
    };
    let own = c.own(&[Sig::ProxyStatusLine]).map(|o| (o.0, o.1, o.2));
    let line = own.or_else(|| {
        // mod_proxy's message names no URI: client, process and moment must fit.
        c.near(&[Sig::ProxyStatusLine], 1_200, 1_200).into_iter().find(|(_, e)| fits(e) && !answered(e)).map(|(i, e)| (i, e, Tie::Chain))
    });
    if let Some((_, ev, tie)) = line.filter(|l| !answered(l.1)) {
        let score = if a.is_some() { 0.95 } else { 0.8 * c.absence_weight() };
        let f = Finding::new(DOC.cause, score, tie.min(Tie::Chain)).with(c.line(ev)).with_all(c.access_line());
        return Some(
            f.with(sentence(EvidenceKind::Absence, "no AH00898 beside it: Apache closed the connection and sent no 502")).with(c.timing()),
        );
    }
    let a = a?;
    Some(
        Finding::new(DOC.cause, 0.62, a.2)
            .with(c.line(a.1))
            .with(c.timing())
            .lacking("Apache's error log of that second (AH01102 with or without AH00898)")
            .or_else(Cause::WorkerCrash, 0.15),
    )
}
