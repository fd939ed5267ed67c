//! The response headers were over Cloudflare's limit at that date.

use crate::doc::{CauseDoc, Fix};
use crate::join::front;
use crate::population::sizes::Excess;
use crate::rule::{Case, Finding, sentence};
use cfray_model::{Cause, EvidenceKind, Stack, Tie};

/// What a person may read about `headers-too-large`.
pub static DOC: CauseDoc = CauseDoc {
    cause: Cause::HeadersTooLarge,
    says: "The answer carried more header data, usually cookies, than Cloudflare accepts.",
    why: "The origin sent a correct answer. Cloudflare reads the header up to its limit (128 KB for all response headers together \
        since 2025-10-16), gives up and reports 520. For the origin all is well: its log says 200 and only the size is odd. Hundreds \
        of Set-Cookie lines, long Link or Content-Security-Policy headers and debug headers are the usual content.",
    evidence: "bytes_sent minus body_bytes_sent (Apache `%O` minus `%B`) over the limit of that date. With one size column: the \
        answer exceeds the usual size of that path by more than the limit. Without sizes: origin 2xx or 3xx, edge 520, and one path \
        or one user; then confidence is at most 0.5 with malformed-response as the runner-up.",
    not_when: "`upstream sent too big header`: nginx's own buffer was too small, and it answered a valid 502. Request headers too \
        large: the origin answers 400, 414 or 431.",
    fix: Fix {
        owner: "Clear the site's cookies in one browser: if the page works then, cookies are the cause. Switch off plugins that set \
            cookies for each visit or send debug headers (query monitors, preload helpers), and ask the developer to trim the rest.",
        admin: "Log the size: add `$bytes_sent` next to `$body_bytes_sent` in nginx's `log_format`; in Apache `%O` and `%B` \
            (mod_logio). As a stopgap remove a header nobody needs: `fastcgi_hide_header X-Debug;`, `proxy_hide_header Link;`, or \
            Apache `Header always unset X-Debug`. Do not raise buffers for it: the limit is Cloudflare's.",
        developer: "Set a cookie once and not on every call (look for a loop that adds Set-Cookie), keep state in the session on the \
            server, and cap generated Link and CSP headers. Test in CI that the header of a logged-in page stays under 16 KB, far \
            below the limit.",
        client: "Retrying does not help while the same cookies are sent. Delete the site's cookies or use a private window; an API \
            client drops its cookie jar. If it works then, tell the site.",
    },
    check: "`curl -sS -o /dev/null -w '%{http_code} %{size_header}\\n' --http1.1 --resolve HOST:443:ORIGIN_IP -b 'COOKIES OF THE \
        USER' https://HOST/PATH`: a header size over 131072 is this cause; a small one with a valid status is malformed-response or a \
        race.",
    often_blamed: "Published limits of 8 KB (old vendor copies), 16 KB (older copies of the Error 520 page) and 32 KB in total with \
        16 KB a header (Connection limits page until 2025) are out of date: it is 128 KB in total since 2025-10-16. nginx's \
        fastcgi_buffer_size or proxy_buffer_size (4 or 8 KB): too small gives a valid 502 (measured).",
    sources: &[
        "cloudflare/cloudflare-docs PR#25872 and PR#25873 (128 KB since 2025-10-16)",
        "developers.cloudflare.com, page \"Error 520\", updated 2026-06-16",
        "developers.cloudflare.com, page \"Connection limits\", updated 2026-07-23",
        "nginx src/http/modules/ngx_http_log_module.c @3f6f782 (2026-08)",
        "calpaterson/csvbase issue 132",
        "cloudflare/netjet issues 23 and 33",
        "measured: Debian 12, nginx 1.22.1, Apache 2.4, PHP and PHP-FPM 8.2, ModSecurity 2.9.7, haproxy 2.6",
    ],
};

/// The answer looks normal in the origin's log, but its header block exceeds what Cloudflare takes.
pub fn check(c: &Case<'_>) -> Option<Finding> {
    let limit = c.w.settings.header_limit(c.row.start.map_or(i64::MAX, |s| s.secs()));
    if let Some(a) = c.access {
        let e = &a.1.e;
        if !matches!(e.status, Some(200..=403 | 405..=443 | 445..=599)) {
            return None;
        }
        // Cloudflare counts header names and values, the log counts bytes: allow for framing.
        let near_limit = limit.saturating_sub(limit / 50);
        // Beside a wire size, an unnamed size column is the body's (nginx combined with $bytes_sent added).
        let body = e.details().body_bytes.or(e.size.get().filter(|size| e.details().bytes_sent.is_some_and(|sent| *size <= sent)));
        if let (Some(sent), Some(body)) = (e.details().bytes_sent, body) {
            let header = sent.saturating_sub(body);
            return (header > near_limit).then(|| {
                let text = format!("header of {header} bytes ({sent} sent, {body} of them body); Cloudflare takes {limit}");
                Finding::new(DOC.cause, 0.98, a.2).with(c.line(a.1)).with(sentence(EvidenceKind::Field, text))
            });
        }
        match c.p.sizes.excess(a.1) {
            Some(Excess { size, usual, peers: peers @ 1.. }) if size > usual + near_limit => {
                let text = format!(
                    "the answer has {size} bytes, {peers} others of this kind of path have {usual}: {} more, and Cloudflare takes headers of {limit}",
                    size - usual
                );
                let score = if peers >= 3 { 0.95 } else { 0.85 };
                return Some(Finding::new(DOC.cause, score, a.2).with(c.line(a.1)).with(sentence(EvidenceKind::Contrast, text)));
            }
            // nginx's lone column is the body's; Apache's is nearly always %O, as in Debian's formats.
            Some(Excess { size, peers: 0, .. }) if size > near_limit && (e.details().bytes_sent.is_some() || e.stack == Stack::Apache) => {
                let text = format!("{size} bytes were sent, and no other answer of this kind of path is there to compare");
                return Some(
                    Finding::new(DOC.cause, 0.72, a.2)
                        .with(c.line(a.1))
                        .with(sentence(EvidenceKind::Field, text))
                        .or_else(Cause::MalformedResponse, 0.2),
                );
            }
            // A size column that counts the header and shows nothing unusual rules it out.
            Some(_) if e.details().bytes_sent.is_some() => return None,
            _ => {}
        }
        // A wire size of nothing is nothing.
        if e.details().bytes_sent == Some(0) {
            return None;
        }
        if matches!(e.status, Some(200..=399)) {
            let usual = a.2 == Tie::Ray || c.fact.is_none_or(|f| c.p.sizes.ordinary_is_usual(&f));
            // Of a server behind another one: what that made of the answer, its own lines would tell.
            let visitor = c.fact.map_or(0, |f| f.client);
            let usual = usual && (c.edge_key() == 0 || front::sees(a.1, c.edge_key(), visitor));
            return Some(
                Finding::new(DOC.cause, if usual { 0.5 } else { 0.4 }, a.2)
                    .with(c.line(a.1))
                    .with(sentence(EvidenceKind::Field, "the origin logged an ordinary answer, Cloudflare refused it"))
                    .lacking("$bytes_sent and $body_bytes_sent (Apache %O and %B) in the access log: their difference is the header's size")
                    .or_else(Cause::MalformedResponse, 0.35),
            );
        }
        return None;
    }
    // No origin line at all: a status that was parsed says that a header came and was refused.
    let status = c.row.origin_status?;
    matches!(status, 200..=399).then(|| {
        Finding::new(DOC.cause, 0.48, Tie::None)
            .with(sentence(EvidenceKind::Field, format!("Cloudflare parsed status {status} from the origin and still answered 520")))
            .lacking("an origin access log with the size of the header")
            .or_else(Cause::MalformedResponse, 0.35)
    })
}
