//! The origin, or an inner Cloudflare zone, answered 520 itself.

use crate::doc::{CauseDoc, Fix};
use crate::rule::{Case, Finding, sentence};
use cfray_model::{Cause, EvidenceKind, Tie};

/// What a person may read about `origin-520`.
pub static DOC: CauseDoc = CauseDoc {
    cause: Cause::Origin520,
    says: "The origin itself, or another Cloudflare site behind this one, answered with status 520.",
    why: "Here the connection worked. The answer carried the number 520: because the application sends it, because it hands on what a \
        service behind it said, or because the origin is another Cloudflare zone that met the error first. Cloudflare passes it on.",
    evidence: "An access line of the request with status 520, or EdgeCFConnectingO2O true in the row.",
    not_when: "OriginResponseStatus 520 alone: on a 520 it says no more than 0 does, namely that no valid header came. An access line \
        with any other status.",
    fix: Fix {
        owner: "If another Cloudflare site stands behind yours (a shop or hosting platform, a partner), send its owner the ray IDs: \
            their logs hold the cause.",
        admin: "Find who says it: `grep ' 520 ' /var/log/nginx/access.log | tail`, with `$upstream_status` in `log_format` to see \
            whether it came from the backend. If the backend is a Cloudflare host name, run cfray on that zone's Logpush.",
        developer: "Do not send 520 from code; take 500, or 502 when a service behind you failed. When you call an API behind \
            Cloudflare, do not copy its status to your answer.",
        client: "As for the error behind it: 1, 2, 4, 8, 16 s once, then report both sites.",
    },
    check: "`curl -sS -D - -o /dev/null --resolve HOST:443:ORIGIN_IP https://HOST/PATH | grep -iE '^HTTP|^server|^cf-ray'`: a 520 \
        with `server: cloudflare` is an inner zone, one without is the application. No 520 at all: another cause.",
    often_blamed: "mod_php's http_response_code(520): measured, Apache makes a valid 500 of it.",
    sources: &[
        "cloudflare-docs logs/logpush/logpush-job/datasets/zone/http_requests.md @3eaa479",
        "cloudflare-docs speed/origin-analytics.mdx @2e56124 (2026)",
        "measured: Debian 12, nginx 1.22.1, Apache 2.4, PHP and PHP-FPM 8.2, ModSecurity 2.9.7, haproxy 2.6",
    ],
};

/// The 520 came from behind: the application or an inner zone answered with it.
pub fn check(c: &Case<'_>) -> Option<Finding> {
    if let Some(a) = c.access.filter(|a| a.1.e.status == Some(520) || a.1.e.details().upstream_status == Some(520)) {
        return Some(Finding::new(DOC.cause, 0.98, a.2).with(c.line(a.1)));
    }
    (c.row.o2o == Some(true)).then(|| {
        Finding::new(DOC.cause, 0.85, Tie::None)
            .with(sentence(EvidenceKind::Field, "EdgeCFConnectingO2O: the request went through a second Cloudflare zone"))
    })
}
