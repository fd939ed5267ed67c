//! Another origin rule closed without answering: by URI, host, method or everybody's rate.

use crate::doc::{CauseDoc, Fix};
use crate::dropped::{self, Kind};
use crate::rule::{Case, Finding};
use cfray_model::{Cause, Sig};

/// What a person may read about `rule-dropped`.
pub static DOC: CauseDoc = CauseDoc {
    cause: Cause::RuleDropped,
    says: "A rule on the origin closes requests of this kind without sending an answer.",
    why: "A rule that goes by address of the page, host name, method or overall rate ends in a close without an answer: nginx `return \
        444` (often in the default server, for host names it does not know), a rate limit with status 444, ModSecurity 2 `drop`. \
        Cloudflare reads no byte and says 520.",
    evidence: "An access line of the request with 444 and 0 bytes, or `limiting requests` or `limiting connections` with a 444 \
        status, or ModSecurity's `Access denied with connection close`; and what failing requests share is path, host, method or \
        rate, not visitor or edge address. Or for a while every request has a 444, also for files that the web server sends itself: \
        a maintenance switch. ModSecurity's drop is logged as 403 with a size although nothing was sent.",
    not_when: "A valid 403, 429 or 503. An error line of the same request explains the 444, or the upstream's status in the access \
        line (or a log behind it) is a 5xx: then the 444 hides that error. Where nothing tells whether a backend was asked: the closes \
        come later than handshakes of the same colos, as of an application that had run. Only some visitors are hit: client-blocked.",
    fix: Fix {
        owner: "Tell your host the path and host name that fail. If the block is wanted, have it made in Cloudflare's WAF; if the \
            host name is new, it is probably missing in the server's configuration.",
        admin: "Find the rule: `nginx -T 2>/dev/null | grep -nE 'return 444|limit_(req|conn)_status'`. Answer openly: `return 403;`, \
            `limit_req_status 429;`, ModSecurity `deny,status:403` in place of `drop`. Unknown host: add it to `server_name` of the \
            right server. ModSecurity false alarm: switch off that one rule on that path, `<Location \"/PATH\"> SecRuleRemoveById ID \
            </Location>` on separate lines, not the engine.",
        developer: "See whether the address looks like an attack to generic rules (file names such as .env, code in parameters, odd \
            methods), and rename or move it to a POST body. Treat rate limits as limits: fewer calls, cached.",
        client: "Retrying does not help, except for a rate limit: then wait 16 s or more and send less. If one path always fails and \
            the rest works, it is a block in disguise; ask the site's owner with the ray ID.",
    },
    check: "`curl -sS -o /dev/null -w '%{http_code}\\n' --http1.1 --resolve HOST:443:ORIGIN_IP https://HOST/PATH` and the same for a \
        path that works. `(52) Empty reply from server` on the first only: the rule. Both answered: it goes by visitor or edge \
        address.",
    often_blamed: "`limit_req` and `limit_conn` as such: their default status is a valid 503. ModSecurity on nginx: version 3 carries \
        out `drop` as a deny with 403, so it cannot close. `access forbidden by rule`: a valid 403.",
    sources: &[
        "nginx src/http/modules/ngx_http_limit_req_module.c, ngx_http_limit_conn_module.c, src/http/ngx_http_request.c @3f6f782 (2026-08)",
        "owasp-modsecurity/ModSecurity src/actions/disruptive/drop.cc @29a86b1 (2024-10)",
        "ModSecurity v2/master apache2/mod_security2.c",
        "measured: Debian 12, nginx 1.22.1, Apache 2.4, PHP and PHP-FPM 8.2, ModSecurity 2.9.7, haproxy 2.6",
    ],
};

/// Another rule of the origin closed without answering.
pub fn check(c: &Case<'_>) -> Option<Finding> {
    if c.hidden_failure() {
        if let Some(o) = c.own(&[Sig::LimitRequests]) {
            return Some(
                Finding::new(DOC.cause, if c.closed_by_rule() { 0.96 } else { 0.8 }, o.2).with(c.line(o.1)).with_all(c.access_line()),
            );
        }
        if let Some(o) = c.own(&[Sig::LimitConnections]).filter(|o| !dropped::by_edge_address(c, o.1) && !dropped::few_visitors(c)) {
            return Some(Finding::new(DOC.cause, 0.85, o.2).with(c.line(o.1)).with_all(c.access_line()));
        }
    }
    dropped::finding(c, Kind::Other, DOC.cause)
}
