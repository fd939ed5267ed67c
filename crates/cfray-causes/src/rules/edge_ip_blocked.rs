//! A security layer at the origin refuses Cloudflare's own addresses.

use super::keepalive_race::reused;
use crate::doc::{CauseDoc, Fix};
use crate::dropped::{self, Kind};
use crate::join::world::Span;
use crate::rule::{Case, Finding, sentence};
use cfray_model::time::{MILLI, SECOND};
use cfray_model::{Cause, EvidenceKind, Sig, Tie, key};

/// What a person may read about `edge-ip-blocked`.
pub static DOC: CauseDoc = CauseDoc {
    cause: Cause::EdgeIpBlocked,
    says: "A firewall or security rule on the origin turns away some of Cloudflare's own addresses.",
    why: "All visitors reach the origin from Cloudflare's 22 address ranges. A list, ban or module that has taken up some of them \
        (because many visitors seem to come from one address, or from an outdated list of ranges) closes those connections, often \
        without an answer: nginx `return 444`, ModSecurity `drop`. Requests that come in through other Cloudflare addresses work.",
    evidence: "Failing depends on EdgeServerIP or its network, and not on visitor or path, and a 444, a `connection close` of \
        ModSecurity, a ban or a configured list explains it (a ban that closes by a map of nginx shows in fail2ban's `Ban ADDRESS` \
        and in 444s of that address from then on; `access forbidden by rule while initializing session` names the \
        address that nginx's stream module turned away). With real_ip set the access line shows the visitor's address, so the \
        edge address comes from Logpush. A few answers through a listed address are no exception from that: nginx redirects and \
        refuses by `return` before it asks a list in its access phase.",
    not_when: "One visitor or one agent fails through every edge address: client-blocked. A valid 403. A ban that refuses or swallows \
        new connections gives 521 or 522; only connections that are already open can give a 520 by it.",
    fix: Fix {
        owner: "Send your host some ray IDs and the EdgeServerIP values, and ask them to allow all 22 ranges published at \
            https://www.cloudflare.com/ips in the firewall, in intrusion blocking and in the security plugin. Keep the firewall on.",
        admin: "Take the edge addresses out of the ban and keep them out, in fail2ban's jail.local: `ignoreip = 127.0.0.1/8 ::1 \
            173.245.48.0/20 103.21.244.0/22 103.22.200.0/22 103.31.4.0/22 141.101.64.0/18 108.162.192.0/18 190.93.240.0/20 \
            188.114.96.0/20 197.234.240.0/22 198.41.128.0/17 162.158.0.0/15 104.16.0.0/13 104.24.0.0/14 172.64.0.0/13 131.0.72.0/22 \
            2400:cb00::/32 2606:4700::/32 2803:f800::/32 2405:b500::/32 2405:8100::/32 2a06:98c0::/29 2c0f:f248::/32` \
            (`fail2ban-client set JAIL unbanip ADDRESS` frees one). Firewall: `for r in $(curl -fsS \
            https://www.cloudflare.com/ips-v4) $(curl -fsS https://www.cloudflare.com/ips-v6); do ufw prepend allow proto tcp from $r \
            to any port 80,443; done`. Then restore visitors' addresses (`real_ip_header CF-Connecting-IP;` with one \
            `set_real_ip_from` a range, or mod_remoteip), so that the next ban hits the visitor and not Cloudflare; ban those in \
            Cloudflare's WAF, as a local firewall never sees their packets.",
        developer: "Code that limits or bans by address must use the restored visitor address, and take CF-Connecting-IP only from \
            Cloudflare's ranges. Refuse with 403 or 429, never with an empty close.",
        client: "Retrying now and then works, since another try may come in through another Cloudflare address: 1, 2, 4, 8, 16 s. You \
            cannot fix it; report the ray ID and your region to the site.",
    },
    check: "Compare the origin's lists with the ranges: `nginx -T 2>/dev/null | grep -nE 'deny|444|geo|map'` and `fail2ban-client \
        banned`. An address inside a Cloudflare range proves it. None, and only one colo affected: see edge-incident.",
    often_blamed: "Full bans: a refused connection shows as 521 and a dropped one as 522, not as 520. Old range lists (104.16.0.0/12, \
        199.27.128.0/21) are still copied from page to page; today there are 15 IPv4 and 7 IPv6 ranges (October 2026).",
    sources: &[
        "developers.cloudflare.com, page \"Error 520\", updated 2026-06-16",
        "https://www.cloudflare.com/ips-v4 and /ips-v6 (15 and 7 ranges in October 2026)",
        "cloudflare-docs page restoring-original-visitor-ips.mdx @2654a88",
        "cloudflare-docs support/troubleshooting/http-status-codes/cloudflare-5xx-errors/ (read October 2026)",
        "mitchellkrogza/nginx-ultimate-bad-bot-blocker issue 276",
        "blog.mddhosting.com, \"The Cloudflare 520 Mystery\"",
        "fail2ban config/action.d/iptables.conf",
        "measured: Debian 12, nginx 1.22.1, Apache 2.4, PHP and PHP-FPM 8.2, ModSecurity 2.9.7, haproxy 2.6",
    ],
};

/// Closing is a function of the edge address.
pub fn check(c: &Case<'_>) -> Option<Finding> {
    banned(c).or_else(|| forbidden(c)).or_else(|| dropped::finding(c, Kind::EdgeAddress, DOC.cause))
}

/// The stream module in front closed the connection of this very edge address by its list (`deny`).
fn forbidden(c: &Case<'_>) -> Option<Finding> {
    if !c.no_line() || c.edge_key() == 0 || reused(c) {
        return None;
    }
    let near = c.near(&[Sig::StreamForbidden], 1_500, 1_500);
    let (_, ev) = near.into_iter().find(|(_, ev)| ev.e.client == c.edge_key())?;
    let text = format!("the list refuses {}, a Cloudflare edge address", c.row.edge_ip.as_deref().unwrap_or("the edge"));
    let f = Finding::new(DOC.cause, 0.94 * c.absence_weight(), Tie::Window).with(c.line(ev));
    Some(f.with(sentence(EvidenceKind::Field, text)).with(c.timing()))
}

/// How long a ban explains the end of a connection that was open before it, in milliseconds. Each such connection
/// fails once, when it is used next; new ones are refused (521) or swallowed (522).
const BAN_MS: i64 = 900_000;
/// A failure this soon after the ban needs no second sign.
const SOON: i64 = 10 * SECOND;

/// A ban of this very edge address cut a connection that Cloudflare was still using.
fn banned(c: &Case<'_>) -> Option<Finding> {
    let edge = key::addr_key(c.row.edge_ip.as_deref()?.as_bytes());
    let (server, end) = (c.server?, c.end?);
    if c.row.reused() != Some(true) || !c.no_line() || !c.lines.is_empty() {
        return None;
    }
    let last = |sig: Sig| {
        let window = Span { lo: end.lo - BAN_MS * MILLI, hi: end.hi + SECOND };
        c.w.near(server, sig, window).filter(|(_, ev)| ev.e.client == edge).last().map(|(_, ev)| ev)
    };
    let ban = last(Sig::Ban).or_else(|| last(Sig::FirewallBlock))?;
    let moment = ban.utc?;
    if last(Sig::Unban).and_then(|u| u.utc).is_some_and(|u| u.lo >= moment.lo && u.hi < end.lo) {
        return None;
    }
    let refused = c.p.origins.refused_by_edge(c.row.edge_ip.as_deref().unwrap_or_default(), moment.lo.div_euclid(MILLI) - 1_000, i64::MAX);
    let score = match (end.distance(moment) <= SOON, refused > 0) {
        (_, true) => 0.94,
        (true, false) => 0.88,
        (false, false) => 0.6,
    };
    let mut f = Finding::new(DOC.cause, score, Tie::Window).with(c.line(ban));
    if refused > 0 {
        let text = format!("{refused} new connections from this edge address were refused or swallowed (521, 522) since then");
        f = f.with(sentence(EvidenceKind::Contrast, text));
    }
    Some(f.with(c.timing()))
}
