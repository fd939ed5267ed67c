//! Configuration that agrees with what was observed: quoted as evidence, and worth a little.
//!
//! A finding never makes a cause; it adds to one that the logs already speak for, and only where its mechanism is
//! the observed one: the gaps lie at the configured timeout, the edge address lies in the range that the list
//! lacks. What disagrees adds nothing.

use super::{Fact, Found};
use crate::rule::{Case, Finding};
use cfray_model::serverconf::Software;
use cfray_model::{Cause, Evidence, EvidenceKind, Stack};

/// Most that agreeing configuration adds.
const GAIN: f64 = 0.10;
/// Most that a gap at the configured timeout adds where too few failures gather to show a constant.
const GAIN_GAP: f64 = 0.20;
/// No score is raised above this by configuration.
const CEILING: f64 = 0.97;

/// Adds evidence and confidence to a finding of a rule, if configuration agrees with it.
pub fn support(c: &Case<'_>, f: &mut Finding) {
    let Some((found, gain, text)) = agreeing(c, f.cause) else { return };
    let item = Evidence {
        kind: EvidenceKind::Config,
        source: found.finding.file.as_str().into(),
        line: found.finding.line,
        time_ms: None,
        offset_ms: None,
        text: text.into(),
    };
    // Behind the strongest item, so that it is not what a cut to five leaves out.
    f.evidence.insert(f.evidence.len().min(1), item);
    f.score = f.score.max((f.score + gain).min(CEILING));
}

fn agreeing<'c>(c: &Case<'c>, cause: Cause) -> Option<(&'c Found, f64, String)> {
    let audit = &c.w.settings.config;
    if audit.found.is_empty() {
        return None;
    }
    let here = |found: &&Found| applies(c, found);
    match cause {
        Cause::KeepaliveRace => audit.found.iter().filter(here).find_map(|found| keepalive(c, found)),
        Cause::ProxyProtocol => {
            fact(c, |f| *f == Fact::ProxyProtocol).map(|f| (f, GAIN, quote(f, "the listener waits for a PROXY header")))
        }
        Cause::OriginPullRejected => {
            fact(c, |f| *f == Fact::ClientCert).map(|f| (f, GAIN, quote(f, "a client certificate is demanded in the handshake")))
        }
        Cause::EdgeIpBlocked => {
            let edge: std::net::IpAddr = c.row.edge_ip.as_deref()?.parse().ok()?;
            let misses = |f: &Fact| matches!(f, Fact::Misses(nets) if nets.iter().any(|n| n.contains(&edge)));
            fact(c, misses)
                .map(|f| (f, GAIN, quote(f, &format!("{edge} lies in a range that this list does not let in"))))
                .or_else(|| closes(c, cause))
        }
        Cause::ClientBlocked | Cause::RuleDropped => limited(c, cause).or_else(|| closes(c, cause)),
        Cause::Throttled => limited(c, cause).or_else(|| {
            fact(c, |f| *f == Fact::NoRealIp)
                .map(|f| (f, GAIN / 2.0, quote(f, "limits by address count all visitors of an edge address as one")))
        }),
        Cause::WorkerCrash | Cause::PoolExhausted | Cause::TimeoutKill | Cause::AppFatal | Cause::PluginFault if c.closed_by_rule() => {
            fact(c, |f| *f == Fact::HidesErrors).map(|f| (f, GAIN, quote(f, "turns the backend's error into the 444 of this request")))
        }
        Cause::HeadersTooLarge => {
            fact(c, |f| *f == Fact::LargeHeaders).map(|f| (f, GAIN / 2.0, quote(f, "lets response headers over Cloudflare's limit pass")))
        }
        _ => None,
    }
}

fn fact<'c>(c: &Case<'c>, wanted: impl Fn(&Fact) -> bool) -> Option<&'c Found> {
    c.w.settings.config.found.iter().find(|f| wanted(&f.fact) && applies(c, f))
}

fn quote(found: &Found, meaning: &str) -> String {
    let f = &found.finding;
    match f.directive.as_str() {
        "" => format!("{} ({}): {meaning}", f.value, f.place),
        directive => format!("{directive} ({}): {meaning}", f.place),
    }
}

/// A close by rule: the status is 444, and the configuration has a rule that ends so for this host.
fn closes<'c>(c: &Case<'c>, cause: Cause) -> Option<(&'c Found, f64, String)> {
    if !c.closed_by_rule() {
        return None;
    }
    // Where errors are turned into 444 as well, the rule is only one of two readings.
    let hides = fact(c, |f| *f == Fact::HidesErrors).is_some();
    let found = c.w.settings.config.found.iter().find(|f| f.fact == Fact::Close && f.finding.causes.contains(&cause) && applies(c, f))?;
    Some((found, if hides { 0.0 } else { GAIN }, quote(found, "closes without an answer, as the 444 of this request says")))
}

fn limited<'c>(c: &Case<'c>, cause: Cause) -> Option<(&'c Found, f64, String)> {
    use cfray_model::Sig;
    c.own(&[Sig::LimitRequests, Sig::LimitConnections])?;
    let found = fact(c, |f| *f == Fact::LimitCloses).filter(|f| f.finding.causes.contains(&cause))?;
    Some((found, GAIN, quote(found, "the limit closes without an answer")))
}

/// Gaps at the configured value.
fn keepalive<'c>(c: &Case<'c>, found: &'c Found) -> Option<(&'c Found, f64, String)> {
    let Fact::IdleClose(seconds) = found.fact else { return None };
    let gap = c.fact_id.and_then(|f| c.p.gaps.of(f))?;
    let tick = c.row.precision_ns as f64 / 1e9;
    // A request is lost from when the close is sent until Cloudflare has it, so the gap ends within about a
    // round trip of the timeout; Apache and nginx look at their timers late rather than early.
    let near = |value: f64, share: f64| (value - seconds).abs() <= (share * seconds).max(1.2 * tick).max(0.35);
    if !near(gap, 0.04) {
        return None;
    }
    let origin = c.row.origin_ip.as_deref().unwrap_or_default();
    let gathering = c.p.gaps.gathering(origin);
    // Failures that gather elsewhere have another reason, and this one's gap is chance.
    if gathering.is_some_and(|g| !near(g.at_s, 0.12)) {
        return None;
    }
    // Connections that live longer than the timeout show that it does not hold here.
    if gathering.is_some_and(|g| g.longer_ok * 20 > g.reused_ok) {
        return None;
    }
    let gain = if gathering.is_some() { GAIN / 2.0 } else { GAIN_GAP };
    Some((found, gain, quote(found, &format!("this request came {gap:.1} s after the last one"))))
}

/// Does a finding speak for the server and host of an incident?
fn applies(c: &Case<'_>, found: &Found) -> bool {
    let audit = &c.w.settings.config;
    let Some(tree) = audit.trees.get(found.tree) else { return false };
    let Some(server) = c.server.and_then(|s| c.w.servers.get(s).map(|server| (s, server))) else { return false };
    let fits = match tree.software {
        Software::Nginx => server.1.stack.is_none_or(|s| s == Stack::Nginx),
        Software::Apache => server.1.stack.is_none_or(|s| s == Stack::Apache),
        Software::Fpm => true,
    };
    if !fits || c.w.conf_of.get(&(server.0, tree.software)).is_none_or(|t| *t != found.tree) {
        return false;
    }
    let host = c.row.host.as_deref().unwrap_or_default().to_ascii_lowercase();
    found.hosts.is_empty() || host.is_empty() || found.hosts.iter().any(|name| names(name, &host))
}

/// Does a server name mean a host? Patterns may.
fn names(name: &str, host: &str) -> bool {
    let name = name.to_ascii_lowercase();
    if name.starts_with('~') {
        return true;
    }
    if let Some(end) = name.strip_prefix("*.") {
        return host.ends_with(&format!(".{end}"));
    }
    if let Some(end) = name.strip_prefix('.') {
        return host == end || host.ends_with(&format!(".{end}"));
    }
    if let Some(start) = name.strip_suffix(".*") {
        return host.starts_with(&format!("{start}."));
    }
    name == host
}

/// Which configuration speaks for each server, by software: the one that the user named for it, else the one whose
/// place is nearest to its logs. Two that are equally near speak for none.
pub fn assign(audit: &super::ConfigAudit, servers: &[ServerPlace<'_>]) -> std::collections::BTreeMap<(usize, Software), usize> {
    let mut out = std::collections::BTreeMap::new();
    let parts = |path: &str| path.split('/').filter(|p| !p.is_empty() && *p != ".").map(ToOwned::to_owned).collect::<Vec<_>>();
    let near = |tree: &super::TreeInfo, server: &ServerPlace<'_>| {
        let tree = parts(&tree.name);
        server.logs.iter().map(|log| parts(log).iter().zip(&tree).take_while(|(a, b)| a == b).count()).max().unwrap_or(0)
    };
    for (index, server) in servers.iter().enumerate() {
        for software in [Software::Nginx, Software::Apache, Software::Fpm] {
            let ours: Vec<(usize, &super::TreeInfo)> = audit
                .trees
                .iter()
                .enumerate()
                .filter(|(_, t)| t.software == software && (t.scope.is_empty() || server.scopes.contains(&t.scope.as_str())))
                .filter(|(_, t)| t.server.is_empty() || t.server == server.name)
                .collect();
            let named = ours.iter().filter(|(_, t)| !t.server.is_empty()).count() > 0;
            let score = |t: &super::TreeInfo| (named && !t.server.is_empty(), near(t, server), t.whole);
            let best = ours.iter().map(|(_, t)| score(t)).max();
            let mut first = ours.iter().filter(|(_, t)| Some(score(t)) == best);
            if let (Some((tree, info)), None) = (first.next(), first.next()) {
                // Another server's logs lie nearer to it: then it is that server's.
                let nearer = servers.iter().any(|other| near(info, other) > near(info, server));
                if !nearer || !info.server.is_empty() {
                    out.insert((index, software), *tree);
                }
            }
        }
    }
    out
}

/// What [`assign`] needs to know of a server.
pub struct ServerPlace<'w> {
    /// Its name.
    pub name: &'w str,
    /// Paths of its logs as shown.
    pub logs: Vec<&'w str>,
    /// Worlds its logs belong to.
    pub scopes: Vec<&'w str>,
}
