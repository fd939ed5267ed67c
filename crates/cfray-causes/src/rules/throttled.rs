//! A per-client connection limit hit Cloudflare because visitors' addresses are not restored.

use crate::doc::{CauseDoc, Fix};
use crate::dropped;
use crate::rule::{Case, Finding, sentence};
use cfray_model::{Cause, EvidenceKind, Sig, Tie, key};

/// What a person may read about `throttled`.
pub static DOC: CauseDoc = CauseDoc {
    cause: Cause::Throttled,
    says: "The origin takes all visitors for one, because it sees only Cloudflare's address, and cut that one off.",
    why: "Limits per client count by address. Without restored addresses hundreds of visitors share one Cloudflare address, and the \
        limit that would stop one abuser stops them all. LiteSpeed then closes the connection without an answer; nginx does so if its \
        limit has the status 444, and ModSecurity if the rule on its counter drops.",
    evidence: "LiteSpeed's `Reached per client hard connection limit` (or soft) with an address, or nginx `limiting connections ... \
        by zone` with an address inside Cloudflare's ranges, at the moment of the failure. Or ModSecurity drops the request because \
        a counter of its collection `IP` is over a threshold (`Operator GT matched 12 at IP:dos_counter`) and the counted address is \
        the edge's.",
    not_when: "The limit answers with a valid 503 (nginx's default) or 429. The address in the line is a visitor's: rule-dropped or \
        client-blocked.",
    fix: Fix {
        owner: "Ask your host to restore visitors' addresses (header CF-Connecting-IP) and to exempt Cloudflare's 22 ranges from \
            limits per address. On LiteSpeed the setting is `Use Client IP in Header`.",
        admin: "nginx, all 22 ranges: `for r in $(curl -fsS https://www.cloudflare.com/ips-v4) $(curl -fsS \
            https://www.cloudflare.com/ips-v6); do echo \"set_real_ip_from $r;\"; done > /etc/nginx/conf.d/cloudflare.conf`, then in \
            `http` `real_ip_header CF-Connecting-IP;` and `limit_conn_status 429;`, then `nginx -t && systemctl reload nginx`. \
            Apache: `a2enmod remoteip`, `RemoteIPHeader CF-Connecting-IP` and one `RemoteIPTrustedProxy` with the same ranges, and \
            `%a` in place of `%h` in LogFormat. LiteSpeed: `Use Client IP in Header` set to `Trusted IP Only`, and wider soft and \
            hard connection limits. Trust the header from these ranges only: anybody can send it.",
        developer: "Count limits in the application by the restored address or, better, by account or key, and answer 429 with \
            Retry-After.",
        client: "Retrying helps when it is slow: 1, 2, 4, 8, 16 s. You are paying for others' traffic; opening fewer connections at \
            once helps everybody.",
    },
    check: "What does the server see? `tail -n 1000 /var/log/nginx/access.log | cut -d' ' -f1 | sort | uniq -c | sort -rn | head`. \
        Addresses in Cloudflare's ranges at the top mean that addresses are not restored: this cause. Visitors' addresses: a limit on \
        a real visitor, see client-blocked.",
    often_blamed: "nginx's `limiting connections` and `limiting requests` lines: with the default status they are a valid 503. \
        mod_evasive: a valid 403. With LiteSpeed, restoring addresses alone may not be enough, as the limit then hits busy visitors \
        of the admin pages (a case of 2023).",
    sources: &[
        "openlitespeed src/http/clientinfo.cpp",
        "nginx src/http/modules/ngx_http_limit_conn_module.c @3f6f782 (2026-08)",
        "ModSecurity 2.9.7 apache2/re_operators.c; core rule set, rule 912120",
        "cloudflare-docs page restoring-original-visitor-ips.mdx @2654a88",
        "https://www.cloudflare.com/ips-v4 and /ips-v6 (15 and 7 ranges in October 2026)",
        "mcbsys.com, \"Using OpenLiteSpeed behind Cloudflare\" (2023-12)",
    ],
};

/// A per-client connection limit counted Cloudflare's edge as one client.
pub fn check(c: &Case<'_>) -> Option<Finding> {
    if let Some(o) = c.own(&[Sig::LimitConnections]).filter(|o| dropped::by_edge_address(c, o.1)) {
        let score = if c.closed_by_rule() { 0.96 } else { 0.85 };
        let seen = sentence(
            EvidenceKind::Field,
            format!("the limit counted {}, a Cloudflare edge address", c.row.edge_ip.as_deref().unwrap_or("the edge")),
        );
        return Some(Finding::new(DOC.cause, score, o.2).with(c.line(o.1)).with_all(c.access_line()).with(seen));
    }
    if let Some(o) = dropped::counted_edge(c) {
        let seen = sentence(
            EvidenceKind::Field,
            format!("ModSecurity counted {}, a Cloudflare edge address", c.row.edge_ip.as_deref().unwrap_or("the edge")),
        );
        return Some(Finding::new(DOC.cause, 0.96, o.2).with(c.line(o.1)).with_all(c.access_line()).with(seen).with(c.timing()));
    }
    if !c.no_line() {
        return None;
    }
    let (_, ev) = c.near(&[Sig::LiteSpeedThrottle], 1_500, 1_500).into_iter().find(|(_, e)| counted_edge(c, e))?;
    let contrast = c.p.windows.get(c.server?, Sig::LiteSpeedThrottle);
    let f = Finding::new(DOC.cause, 0.94 * contrast.weight() * c.absence_weight(), Tie::Window).with(c.line(ev));
    Some(f.with(sentence(EvidenceKind::Contrast, contrast.sentence("a client was over its connection limit"))).with(c.timing()))
}

/// Did the limit count the edge address of this request (or one that the line or the row leaves open)?
fn counted_edge(c: &Case<'_>, ev: &crate::join::Ev) -> bool {
    let named = ev.e.sig.as_ref().and_then(|h| h.name.as_deref()).map_or(0, |a| key::addr_key(a.as_bytes()));
    match (named, c.edge_key()) {
        (0, _) => ev.e.client == 0 || dropped::by_edge_address(c, ev),
        (_, 0) => true,
        (named, edge) => named == edge,
    }
}
