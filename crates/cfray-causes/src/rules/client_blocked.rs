//! The origin silently drops particular visitors, such as scrapers.

use crate::doc::{CauseDoc, Fix};
use crate::dropped::{self, Kind};
use crate::rule::{Case, Finding, sentence};
use cfray_model::{Cause, EvidenceKind, Sig};

/// What a person may read about `client-blocked`.
pub static DOC: CauseDoc = CauseDoc {
    cause: Cause::ClientBlocked,
    says: "The origin drops this visitor on purpose, by address or browser name, without sending an answer.",
    why: "A bad-bot list, a geo or map block or a drop rule matches the visitor and closes the connection with no answer (nginx \
        `return 444`). Cloudflare cannot tell that from a crash and reports 520 to exactly those visitors. It is a block that looks \
        like an error.",
    evidence: "Failing depends on the visitor's address, network or agent, on paths where other visitors succeed in the same minutes \
        (at least 5 requests, p < 0.001), with 444 lines or drop lines at the origin for them, or a Node logger's warnings that name the \
        request and no response. Too few to compare: ModSecurity's own word that its rule looked at the address or the agent.",
    not_when: "Everybody fails on that path: rule-dropped. Failing depends on Cloudflare's address: edge-ip-blocked. An error line of \
        the same request (crash, fatal, full pool) stands behind the 444. A 403, which is an open refusal.",
    fix: Fix {
        owner: "Decide whether the visitor is to be blocked. If yes, block in Cloudflare's WAF: the origin is spared and the visitor \
            gets a clear answer, and your 520 statistics are clean. If no, ask your host to take the address or agent off the list.",
        admin: "Refuse openly: change `return 444;` to `return 403;` in the bot list's server or location, then 520s of this kind end \
            at once. To let one visitor through, add its exact address to the list's allow file, e.g. `geo $ok_client { default 0; \
            203.0.113.7 1; }`, and test with `nginx -t`. If the lists work by address, check that visitors' addresses are restored.",
        developer: "If this is your own scraper, monitor or API user: give it an honest User-Agent with a contact, and have the site \
            put it on the allow list. Do not rely on the closed connection as a signal; use 403 or 429 with Retry-After.",
        client: "This is a block in disguise: retrying does not help, and more requests may lengthen it. If every request of yours \
            fails while the site works for others, stop, slow down, identify yourself, and ask the site's owner with a ray ID.",
    },
    check: "Same path, other agent, past Cloudflare: `curl -sS -o /dev/null -w '%{http_code}\\n' -A 'Mozilla/5.0' --http1.1 --resolve \
        HOST:443:ORIGIN_IP https://HOST/PATH`, then again with `-A` and the agent in the report. One answers and the other gives \
        `(52) Empty reply from server`: an agent block. Both answer: it goes by address, look in the lists.",
    often_blamed: "The server's health. A 444 line is a decision of the configuration, not a crash; but sites also map 502 to 444, so \
        a line of the same request in the error log counts first. ModSecurity `deny` gives a valid 403 (measured).",
    sources: &[
        "nginx src/http/ngx_http_request.c (444 closes) @3f6f782 (2026-08)",
        "cloudflare/cloudflare-docs issue 11831",
        "mitchellkrogza/nginx-ultimate-bad-bot-blocker issues 276, 194, 269",
        "measured: Debian 12, nginx 1.22.1, Apache 2.4, PHP and PHP-FPM 8.2, ModSecurity 2.9.7, haproxy 2.6",
    ],
};

/// Closing is a function of the visitor, on paths where others succeed.
pub fn check(c: &Case<'_>) -> Option<Finding> {
    // A limit on connections counts one key at a time. The visitor's own address in the line, and nobody but a few
    // visitors hit: it works on those visitors.
    let limited = c.own(&[Sig::LimitConnections]).filter(|o| c.hidden_failure() && !dropped::by_edge_address(c, o.1));
    if let Some(o) = limited.filter(|_| dropped::few_visitors(c)) {
        let score = if c.closed_by_rule() { 0.94 } else { 0.85 };
        let seen = sentence(EvidenceKind::Field, format!("the limit counted {}, the visitor", c.row.client_ip.as_deref().unwrap_or("it")));
        return Some(
            Finding::new(DOC.cause, score, o.2).with(c.line(o.1)).with_all(c.access_line()).with(seen).or_else(Cause::RuleDropped, 0.05),
        );
    }
    dropped::finding(c, Kind::Client, DOC.cause)
}
