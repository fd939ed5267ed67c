//! The application sent nothing, or something that is not HTTP.

use crate::doc::{CauseDoc, Fix};
use crate::rule::{Case, Finding, sentence};
use cfray_model::{Cause, EvidenceKind, Sig};

/// What a person may read about `malformed-response`.
pub static DOC: CauseDoc = CauseDoc {
    cause: Cause::MalformedResponse,
    says: "The application sent nothing, or something that is not a web answer.",
    why: "Cloudflare needs a status line and a header. A backend that speaks another protocol, or prints its text without a header, \
        is passed on by nginx as a headerless HTTP/0.9 answer (logged as status 009); a script whose name begins with nph- talks to \
        the connection directly, so Apache cannot correct it. Cloudflare reads bytes that are no HTTP answer: 520.",
    evidence: "An access line with status 009, nginx's `upstream sent no valid HTTP/1.0 header`, an nph- script, or AH01215 on the \
        failing path.",
    not_when: "nginx or Apache noticed it and answered: invalid header lines and too big headers are a valid 502, an ordinary CGI \
        without headers a valid 500. Headers over the limit with sizes not logged look alike: headers-too-large. A body cut short \
        after a good header.",
    fix: Fix {
        owner: "Tell the developer or host which path fails; it is usually one path or one service behind it. A change of ports or of \
            the deployment just before is the likely trigger.",
        admin: "Ask the backend directly: `curl -sv --http1.1 http://127.0.0.1:PORT/PATH`. If it speaks FastCGI, use `fastcgi_pass`; \
            if it speaks TLS, `proxy_pass https://...`; if it is a raw or gRPC port, correct the port. Rename nph- scripts so that \
            Apache builds the header: `mv nph-report.cgi report.cgi` (and drop their own status line).",
        developer: "Send the status line and header before any other output, and let the framework do it. Nothing (debug print, byte \
            order mark, warning) may come first in a script that writes its own header. Answer every branch, also errors.",
        client: "Retrying does not help if one path fails each time; try twice (1, 2 s), then report path and ray ID.",
    },
    check: "`curl -sv --http1.1 -o /dev/null --resolve HOST:443:ORIGIN_IP https://HOST/PATH` (`-k` with a Cloudflare origin \
        certificate). `Received HTTP/0.9 when not allowed` is this cause; a normal answer with a long header is headers-too-large: \
        add `-w '%{size_header}'`.",
    often_blamed: "Invalid or doubled headers behind nginx proxy_pass: a valid 502 or a cut 200. `Premature end of script headers`, \
        `End of script output before headers`: a valid 500. An nph- script without a status line over HTTP/2 to Apache 2.4.69: \
        a valid 500. Broken compression at the origin is documented under 502. All but the last measured.",
    sources: &[
        "developers.cloudflare.com, page \"Error 520\", updated 2026-06-16",
        "cloudflare-docs speed/origin-analytics.mdx @2e56124 (2026)",
        "nginx src/http/modules/ngx_http_proxy_module.c @3f6f782 (2026-08)",
        "apache/httpd 2.4.x modules/generators/cgi_common.h @f45abec1 (2024-10)",
        "cloudflare-docs support/troubleshooting/http-status-codes/cloudflare-5xx-errors/ (read October 2026)",
        "measured: Debian 12, nginx 1.22.1, Apache 2.4, PHP and PHP-FPM 8.2, ModSecurity 2.9.7, haproxy 2.6",
    ],
};

/// The application's answer is not HTTP.
pub fn check(c: &Case<'_>) -> Option<Finding> {
    if let Some(o) = c.own(&[Sig::UpstreamNotHttp]) {
        return Some(Finding::new(DOC.cause, 0.97, o.2).with(c.line(o.1)).with_all(c.access_line()));
    }
    if c.hidden_failure() {
        if let Some(o) = c.own(&[Sig::UpstreamBadHeader]) {
            return Some(Finding::new(DOC.cause, 0.8, o.2).with(c.line(o.1)).with_all(c.access_line()));
        }
        if let Some(o) = c.own(&[Sig::UpstreamBigHeader]) {
            return Some(
                Finding::new(DOC.cause, 0.55, o.2).with(c.line(o.1)).with_all(c.access_line()).or_else(Cause::HeadersTooLarge, 0.4),
            );
        }
    }
    let a = c.access?;
    if a.1.e.status == Some(9) {
        return Some(Finding::new(DOC.cause, 0.97, a.2).with(c.line(a.1)).with(sentence(
            EvidenceKind::Field,
            "nginx logs 009 when the backend sent no status line: the body went out without a header",
        )));
    }
    if !matches!(a.1.e.status, Some(200..=399)) {
        return None;
    }
    let script = c.own(&[Sig::CgiStderr]).or_else(|| {
        c.near(&[Sig::CgiStderr], 1_500, 1_500).into_iter().map(|(i, e)| (i, e, cfray_model::Tie::Window)).find(|o| same_client(c, o.1))
    });
    let nph = a.1.e.path.rsplit('/').next().is_some_and(|name| name.starts_with("nph-")) || a.1.e.path.contains("/nph-");
    let score = match (nph, script.is_some()) {
        (true, true) => 0.93,
        (true, false) => 0.9,
        (false, true) => 0.75,
        // A header that is known to be small was refused all the same.
        (false, false) if c.p.sizes.header_known_small(a.1) => 0.8,
        (false, false) => 0.35,
    };
    let f = Finding::new(DOC.cause, score, a.2).with(c.line(a.1)).with_all(script.map(|s| c.line(s.1)));
    Some(f.with(sentence(EvidenceKind::Field, "the origin logged an ordinary answer, Cloudflare could not read it")))
}

fn same_client(c: &Case<'_>, ev: &crate::join::Ev) -> bool {
    c.access.is_none_or(|a| ev.e.client == 0 || a.1.e.client == 0 || ev.e.client == a.1.e.client)
}
