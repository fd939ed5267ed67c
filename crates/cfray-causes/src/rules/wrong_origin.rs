//! OriginIP is not the server these logs are from.

use crate::chain;
use crate::doc::{CauseDoc, Fix};
use crate::join::coverage::Covered;
use crate::rule::{Case, Finding, sentence};
use cfray_model::{Cause, EvidenceKind, Sig, Stack, Tie};

/// What a person may read about `wrong-origin`.
pub static DOC: CauseDoc = CauseDoc {
    cause: Cause::WrongOrigin,
    says: "Cloudflare sends these requests to a server other than the one these logs come from.",
    why: "A DNS record in Cloudflare, or a load-balancer pool, points to an address that does not serve this site: an old server, a \
        leftover AAAA record, another customer's machine. Something accepts the connection there and does not give a usable answer, \
        while the right server never hears of it.",
    evidence: "That OriginIP never gave a usable answer for the host, another OriginIP does, and none of its requests ties to a line \
        of these logs at moments that the access log covers.",
    not_when: "The address answers some requests: then it is a server whose log is missing, and the verdict is unknown. Its requests \
        do tie to these logs. Field OriginIP is not delivered.",
    fix: Fix {
        owner: "Open DNS in the Cloudflare dashboard and compare every A and AAAA record of the host with the address your host gave \
            you. Correct or delete what does not fit, also in load-balancer pools.",
        admin: "`ip -br addr` (or the provider's panel) shows the server's public addresses; OriginIP in the report must be one of \
            them. Remove the stale record or pool member, or let that machine serve the host: `server_name HOST;`. Shut down the old \
            server only when no OriginIP names it.",
        developer: "If a deployment writes DNS records, let it remove the old ones, IPv6 too, and check each address with one request \
            before it goes live.",
        client: "Retrying helps by chance if one of several records is right: 1, 2, 4, 8, 16 s. Else not. Report it.",
    },
    check: "`curl -sS -o /dev/null -w '%{http_code}\\n' --resolve HOST:443:ORIGIN_IP https://HOST/`, once with OriginIP of the report \
        and once with your server's address. Only the second answers: correct the DNS record. Both answer: the first is a server \
        whose logs you have not given to cfray.",
    often_blamed: "The application: it never saw these requests. DNS being slow to spread: OriginIP in the report shows which address \
        Cloudflare used, so compare and do not wait. Nothing listening there would be 521, 522 or 523.",
    sources: &[
        "cloudflare-docs logs/logpush/logpush-job/datasets/zone/http_requests.md @3eaa479",
        "cloudflare-docs support/troubleshooting/http-status-codes/cloudflare-5xx-errors/ (read October 2026)",
    ],
};

/// The address in DNS is not the server whose logs these are.
pub fn check(c: &Case<'_>) -> Option<Finding> {
    let origin = c.row.origin_ip.as_deref().filter(|o| !o.is_empty())?.to_owned();
    // A second zone on the way, or a listener that refuses every plain connection, explains it better.
    let has = |sig: Sig| (0..c.w.servers.len()).any(|s| c.w.by_sig.contains_key(&(s, sig)));
    // Such lines of a server that is known to refuse another address are about that one.
    let known = |server: usize| c.p.origins.refusing(server).iter().any(|other| *other != origin);
    let refuses = |server: usize| c.w.by_sig.contains_key(&(server, Sig::ProxyProtocol)) && !known(server);
    let refuses_all = (0..c.w.servers.len()).any(refuses) || super::proxy_protocol::announced_for(c).is_some();
    if c.row.o2o == Some(true) || refuses_all {
        return None;
    }
    let host = c.row.host.clone().unwrap_or_default().to_ascii_lowercase();
    let mine = c.p.origins.by_host.get(&(host.clone(), origin.clone()))?;
    if mine.asked < 3 || mine.spoke > 0 || mine.tied * 20 > mine.asked {
        return None;
    }
    let (name, other) =
        c.p.origins
            .by_host
            .iter()
            .filter(|((h, o), n)| *h == host && *o != origin && n.spoke >= 5)
            .max_by_key(|(_, n)| (n.tied, n.spoke))
            .map(|((_, o), n)| (o.clone(), *n))?;
    // A listener of the same machine that refuses Cloudflare would show in the error log only.
    let error_log = c.w.servers.iter().enumerate().any(|(i, s)| s.has_error && chain::error_log_covers(c, i));
    // That no line is there says something of covered moments only.
    let hole = |s: usize| c.end.is_none_or(|end| c.p.coverage.at(s, end, 0) == Covered::No);
    let covered = mine.covered >= 3 && !(0..c.w.servers.len()).all(hole);
    // Apache says so only when it starts: without that moment in its log, another listener of the machine looks the same.
    let untold = c.w.servers.iter().any(|s| s.stack == Some(Stack::Apache)) && !has(Sig::ApacheStart);
    let score = match (covered, other.tied >= 5 && error_log && !untold) {
        (false, _) => 0.45,
        (true, false) => 0.6,
        (true, true) => 0.93,
    };
    let text = format!(
        "{origin} gave no usable answer to any of {} requests for {host}, and none of {}{} that these logs cover is in them; {name} answered {} of {}",
        mine.asked,
        mine.covered.min(mine.asked),
        if mine.covered >= 200 { " or more" } else { "" },
        other.spoke,
        other.asked
    );
    let f = Finding::new(DOC.cause, score, Tie::None).with(sentence(EvidenceKind::Contrast, text)).with(c.timing());
    let f = if untold {
        f.lacking("Apache's error log of its last start (AH03492 names listeners that take only PROXY protocol)")
            .or_else(Cause::ProxyProtocol, 0.2)
    } else {
        f
    };
    Some(if covered { f } else { f.lacking("an access log that covers the moments of these requests") })
}
