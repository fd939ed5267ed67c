//! The origin dropped the connection over the request itself.

use crate::doc::{CauseDoc, Fix};
use crate::join::Ev;
use crate::rule::{Case, Finding, sentence};
use cfray_model::{Cause, EvidenceKind, Sig, Tie};

/// What a person may read about `request-rejected`.
pub static DOC: CauseDoc = CauseDoc {
    cause: Cause::RequestRejected,
    says: "The origin hung up because of the request itself: its header was too large, or it came too slowly.",
    why: "Over HTTP/2 nginx does not answer a request header over its limit: it ends the whole connection, and every other request on \
        it fails too. Over HTTP/1 it closes without an answer when the header or the body does not arrive in time, and logs 408 with \
        0 bytes. Cloudflare lets request headers of up to 128 KB through, nginx takes 4 buffers of 8 KB by default.",
    evidence: "HTTP/2: `client sent too large header`, before nginx 1.19.7 `client exceeded http2_max_field_size limit` (or \
        `..._header_size`), or `http2 flood detected` (level info), the culprit as `\"-\" 000 0` and the \
        others of that connection as `499 0`. HTTP/1: an access line of the request with `408 0`.",
    not_when: "A valid 400, 414 or 431: over HTTP/1 an oversized header is answered. Apache's time limit answers a valid 408. `\"-\" \
        408` lines without a request: idle connections, ordinary noise.",
    fix: Fix {
        owner: "Look in the report whether one user, one address with a very long query or one upload page is hit. Clearing that \
            user's cookies helps at once; ask the host to widen the limits named here.",
        admin: "nginx, in `http` (the limits that count are those of the listener's default server): `large_client_header_buffers 4 \
            32k;` (default 4 8k; before 1.19.7 for HTTP/2 `http2_max_field_size 32k; http2_max_header_size 128k;`). Slow uploads: \
            `client_body_timeout 120s;` (default 60 s). See it: `error_log /var/log/nginx/error.log info;` for a short time, since it \
            is talkative.",
        developer: "Keep cookies and addresses short: no state in cookies, long filters in a POST body. Send uploads in parts.",
        client: "Retrying the same large request does not help. Delete the site's cookies, shorten the address, or upload over a \
            steadier line. If yours was merely on the same connection as a bad one, one retry after 1 s works.",
    },
    check: "`curl -sS -o /dev/null -w '%{http_code}\\n' --resolve HOST:443:ORIGIN_IP --http2 -H \"X-Fill: $(head -c 20000 /dev/zero | \
        tr '\\0' a)\" https://HOST/PATH`, then with `--http1.1`: an HTTP/2 error on the first and a 400 on the second show the limit. \
        If both are answered, it is not this cause.",
    often_blamed: "Large cookies over HTTP/1: a valid 400 (measured). Cloudflare's own limit: 128 KB for request headers (page of \
        2026-07-23), so the origin's is the lower one.",
    sources: &[
        "nginx src/http/v2/ngx_http_v2.c (also of release-1.18.0), src/http/ngx_http_request.c @3f6f782 (2026-08)",
        "developers.cloudflare.com, page \"Connection limits\", updated 2026-07-23",
        "kubernetes/ingress-nginx issue 11335",
        "ByteInternet/hypernode-docs pull request 239",
        "measured: Debian 12, nginx 1.22.1, Apache 2.4, PHP and PHP-FPM 8.2, ModSecurity 2.9.7, haproxy 2.6",
    ],
};

/// The server hung up over the request itself.
pub fn check(c: &Case<'_>) -> Option<Finding> {
    let h2 = || c.near(&[Sig::Http2TooLarge], 1_500, 1_500).into_iter().find(|(_, ev)| !anothers(c, ev));
    if let Some(a) = c.access {
        let e = &a.1.e;
        let nothing = e.sent().unwrap_or(0) == 0;
        // Time limits are whole seconds. Apache logs 408 also for the body of a request that ModSecurity dropped at once.
        let at_once = c.row.duration_ms.is_some_and(|ms| ms < TIME_LIMIT_MS) && c.failed_after_ms().is_some_and(|ms| ms < TIME_LIMIT_MS);
        let dropped = c.own(&[Sig::ModsecDrop]).is_some();
        if e.status == Some(408) && nothing && !at_once && !dropped {
            let own = c.own(&[Sig::ClientTimedOut]).map(|o| c.line(o.1));
            return Some(Finding::new(DOC.cause, 0.96, a.2).with(c.line(a.1)).with_all(own).with(c.timing()));
        }
        if matches!(e.status, Some(0 | 499)) && nothing {
            let (_, ev) = h2()?;
            return Some(Finding::new(DOC.cause, 0.9, a.2).with(c.line(ev)).with(c.line(a.1)));
        }
        return None;
    }
    if !c.no_line() {
        return None;
    }
    let (_, ev) = h2()?;
    let contrast = c.p.windows.get(c.server?, Sig::Http2TooLarge);
    // The connection is that of this very edge address, where both are known.
    let same = c.edge_key() != 0 && ev.e.client == c.edge_key();
    let weight = if same { contrast.weight().max(0.95) } else { contrast.weight() };
    let f = Finding::new(DOC.cause, 0.94 * weight * c.absence_weight(), Tie::Window).with(c.line(ev));
    Some(f.with(sentence(EvidenceKind::Contrast, contrast.sentence("an HTTP/2 request header was over the limit"))).with(c.timing()))
}

/// A request that was given up for its slowness took longer than this, with room for the edge's rounding.
const TIME_LIMIT_MS: i64 = 500;

/// Does the line speak of the connection of another edge address?
fn anothers(c: &Case<'_>, ev: &Ev) -> bool {
    let (edge, peer) = (c.edge_key(), ev.e.client);
    edge != 0 && peer != 0 && peer != edge && c.w.keys.iter().any(|k| k.edge_ip == peer)
}
