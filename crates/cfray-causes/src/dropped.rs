//! Closes on purpose: 444 or a ModSecurity drop says that the server hung up, not why. Contrast
//! decides between edge address, visitor and any other rule.

use crate::chain;
use crate::join::front;
use crate::join::world::{EdgeKind, Ev};
use crate::population::drops::{self, Best, Property};
use crate::rule::{Case, Finding, Owned, sentence};
use cfray_model::time::SECOND;
use cfray_model::{Cause, Evidence, EvidenceKind, Sig, Stack, Tie, key};

/// Which of the three rules asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Closing follows the edge address.
    EdgeAddress,
    /// Closing follows the visitor.
    Client,
    /// Anything else.
    Other,
}

/// Does a line's client column hold the edge address of this request (or any, when hidden)?
pub fn by_edge_address(c: &Case<'_>, ev: &Ev) -> bool {
    let edge = c.edge_key();
    let visitor = c.row.client_ip.as_deref().map_or(0, |ip| key::addr_key(ip.as_bytes()));
    if edge != 0 { ev.e.client == edge } else { visitor != 0 && ev.e.client != 0 && ev.e.client != visitor }
}

/// Do the limits on connections of this server hit a few visitors only?
pub fn few_visitors(c: &Case<'_>) -> bool {
    c.server.is_some_and(|s| (1..=FEW_VISITORS).contains(&c.p.drops.limited_visitors(s)))
}

/// The server closed on a request whose line says that no client certificate was accepted, as it does on all such: how
/// many closed without, and answered with one.
pub fn without_certificate(c: &Case<'_>) -> Option<(usize, usize)> {
    c.access.filter(|a| a.1.e.hung_up() && a.1.e.details().verified == Some(false))?;
    c.p.drops.by_certificate(drops::unexplained(c.w, c.fact_id?)?)
}

/// Did the server close without asking a backend? Only the line itself is asked: its own duration and an
/// upstream's status. What the edge measured depends on fields that a job may not deliver.
fn at_once(c: &Case<'_>) -> Option<bool> {
    let e = &c.access?.1.e;
    if c.answered_behind().is_some() {
        return Some(false);
    }
    e.details().duration_us.map(|us| us <= 1_000)
}

/// Did the server behind answer with an error of its own?
fn failed_behind(c: &Case<'_>) -> bool {
    c.answered_behind().is_some_and(front::is_failure)
}

/// The finding of one of the three rules, if its kind of explanation is the best.
pub fn finding(c: &Case<'_>, kind: Kind, cause: Cause) -> Option<Finding> {
    let fact = c.fact_id?;
    let server = drops::unexplained(c.w, fact)?;
    // The application says that this page failed at this moment: what hung up was its error page.
    if chain::php_fatal(c).is_some_and(|f| f.tie >= Tie::Chain) {
        return None;
    }
    if without_certificate(c).is_some() || counted_edge(c).is_some() {
        return None;
    }
    // HAProxy's state `PR` without a status is written only where a rule of its own ended the request: it hides nothing.
    let by_proxy = c.access.filter(|a| a.1.e.stack == Stack::HaProxy && a.1.e.sig.as_ref().is_some_and(|h| h.sig == Sig::ClosedByRule));
    let drop_line = c.own(&[Sig::ModsecDrop, Sig::ModsecDeny, Sig::AccessForbidden]);
    // An application says that it did not answer; why, only the contrast can tell, and what else it may be is a fault of its own.
    let warned = c.own(&[Sig::AppUnanswered]).filter(|_| c.access.is_none() && drop_line.is_none());
    if warned.is_some() && kind == Kind::Other {
        return None;
    }
    let drop_line = drop_line.or(warned);
    let tie = c.access.or(drop_line)?.2;
    let lines = |f: Finding| f.with_all(c.access_line()).with_all(drop_line.map(|o| c.line(o.1)));
    // Without an error log of that moment, or after a backend was asked, a hidden fault looks the same.
    let has_error_log = by_proxy.is_some() || chain::error_log_covers(c, server);
    let asked_nobody = at_once(c);
    let compared = c.p.drops.compared(server);
    let limit: f64 = match (drop_line.or(by_proxy).is_some(), asked_nobody) {
        _ if !compared => 0.6,
        (true, _) => 1.0,
        // A backend was asked: what it did is the cause, and these logs do not show it.
        (_, Some(false)) => 0.45,
        (_, Some(true)) => 0.96,
        _ if has_error_log => 0.96,
        _ => 0.6,
    };
    // Who is turned away is no property of a fault; what is turned away may be.
    let limit = match kind {
        Kind::Other => limit,
        _ if !compared => 0.6,
        _ if has_error_log || drop_line.is_some() => 1.0,
        _ => 0.9,
    };
    // What stood behind had failed: its error was hidden, and no rule about the request closed.
    let limit = if drop_line.is_none() && failed_behind(c) { limit.min(0.45) } else { limit };
    // Edge addresses that nothing tells look like their visitors.
    let hidden_edge = kind == Kind::Client && !c.p.drops.knows_edge_addresses(server);
    if warned.is_some() && !(compared && c.silent()) {
        return None;
    }
    // ModSecurity says what its rule looked at; what its closes happen to share besides does not count against that.
    let best = c.p.drops.explains(server, fact);
    let looked_at = drop_line.and_then(|o| Some((modsec_kind(&o.1.e.text(), by_edge_address(c, o.1))?, o)));
    if let Some((of, o)) = looked_at.filter(|(of, _)| *of != Kind::Other)
        && best.is_none_or(|best| kind_of(best).0 != of)
    {
        return (of == kind).then(|| lines(Finding::new(cause, 0.85, o.2)).with(c.timing()).or_else(Cause::RuleDropped, 0.1));
    }
    let Some(best) = best else {
        if kind != Kind::Other {
            return None;
        }
        if let Some(found) = everybody(c, cause, limit, tie) {
            return Some(lacking(c, server, lines(found.0).with(found.1).with(c.timing()), has_error_log));
        }
        // Enough closes, and nothing that they have in common: chance decides, which is not how a rule works.
        let scattered = compared && c.p.drops.closes(server) >= 8;
        let score: f64 = match (drop_line.or(by_proxy).is_some(), scattered) {
            (true, _) => 0.8,
            (false, true) => 0.45,
            (false, false) => 0.58,
        };
        let f = lines(Finding::new(cause, score.min(limit), tie));
        return Some(lacking(c, server, f.with(c.timing()), has_error_log));
    };
    let (of, score) = kind_of(best);
    if of != kind {
        return None;
    }
    // Nobody tells what stood behind the close, but the time that it took speaks of work.
    let least = if limit <= 0.6 { WORK_MS } else { LONG_WORK_MS };
    let worked = kind == Kind::Other && drop_line.is_none() && best.late.is_some_and(|late| late.ms >= least);
    // nginx's error log says nothing of an upstream's 500: where nothing tells whether a backend was asked, time alone speaks of it.
    let unasked = drop_line.or(by_proxy).is_some() || asked_nobody.is_some();
    let late = best.late.filter(|_| kind == Kind::Other && !unasked);
    let answered = late.is_some_and(|late| late.proven && late.ms > AT_ONCE_MS);
    let perhaps = answered || late.is_some_and(|late| late.ms >= SOME_WORK_MS);
    // Nor does anything speak against a hidden error where neither an error log nor the time of a round trip is known.
    let open = kind == Kind::Other && !unasked && !has_error_log && best.late.is_none();
    let limit = match (worked || answered || open, perhaps) {
        (true, _) => limit.min(0.45),
        (_, true) => limit.min(0.6),
        _ => limit,
    };
    let f = lines(Finding::new(cause, score.min(limit), tie));
    let mut f = f.with_all(ban(c, best)).with(sentence(EvidenceKind::Contrast, contrast(best)));
    if kind == Kind::Other && asked_nobody != Some(true) && (!has_error_log || perhaps) {
        f = f.or_else(Cause::AppFatal, 0.3);
    }
    if perhaps {
        f = f.lacking("the upstream's status in the access log ($upstream_status): a 444 may hide a 500");
    }
    if hidden_edge && best.property == Property::Client && best.split.blocked.len() > FEW_VISITORS {
        f.score = f.score.min(0.55);
        f = f.or_else(Cause::EdgeIpBlocked, 0.4).lacking("Logpush field EdgeServerIP");
    }
    if kind == Kind::Other && matches!(best.property, Property::Client | Property::Agent) {
        f = f.or_else(Cause::ClientBlocked, 0.25);
    }
    Some(lacking(c, server, f, has_error_log))
}

/// More time than a close by a rule takes over a round trip, in milliseconds, where clocks and ways vary.
const AT_ONCE_MS: i64 = 3;

/// The server closed on everybody for a while, as maintenance switches do. An application that fails for all of that time looks the
/// same, unless files that the web server sends itself are closed on, too: its error log, silent, excludes that it failed at those.
fn everybody(c: &Case<'_>, cause: Cause, limit: f64, tie: Tie) -> Option<(Finding, Evidence)> {
    const FEW: usize = 3;
    let server = c.server?;
    let down = c.p.drops.down(c.fact_id?)?;
    let late = down.late.is_some_and(|late| late.ms > AT_ONCE_MS);
    if late || c.answered_behind().is_some() || !chain::error_log_covers(c, server) {
        return None;
    }
    let score = match (down.own, down.files) {
        (FEW.., _) => 0.9,
        (1.., FEW..) => 0.85,
        (0, FEW..) => 0.58,
        _ => return None,
    };
    let shut = &down.shut;
    let text = format!(
        "for {:.1} s the server closed on every request, of {} visitors for {} kinds of path, where about {} are answered else; {} closed \
         ones were for files, {} of kinds that the web server answers itself",
        (shut.to - shut.from) as f64 / 1000.0,
        shut.clients,
        shut.shapes,
        shut.usual,
        down.files,
        down.own
    );
    let f = Finding::new(cause, f64::min(score, limit), tie);
    let f = if down.own < FEW { f.or_else(Cause::AppFatal, 0.3) } else { f };
    Some((f, sentence(EvidenceKind::Contrast, text)))
}

/// ModSecurity's drop of this request because a counter that it keeps for each address went over its threshold, where the
/// address that it counted is the edge's.
pub fn counted_edge<'w>(c: &Case<'w>) -> Option<Owned<'w>> {
    c.own(&[Sig::ModsecDrop, Sig::ModsecDeny]).filter(|o| by_edge_address(c, o.1) && is_counter(&o.1.e.text()))
}

/// Names of the operators that compare numbers (apache2/re_operators.c; version 3 writes `Gt`).
const OVER: [&str; 2] = ["GT", "GE"];
/// The core rule set's own flag of its counter (REQUEST-912-DOS-PROTECTION, rule 912120), compared with `@eq 1`.
const CRS_FLAG: &str = "IP:DOS_BLOCK";

/// Does the message say that a number in the persistent collection `IP` (one record for each address, `initcol:ip=...`)
/// is over a threshold?
fn is_counter(text: &str) -> bool {
    let Some((operator, variable)) = compared_number(text) else { return false };
    let variable = variable.to_ascii_uppercase();
    variable == CRS_FLAG || (variable.starts_with("IP:") && OVER.iter().any(|name| operator.eq_ignore_ascii_case(name)))
}

/// Operator and variable of a comparison of numbers: `Operator GT matched 12 at IP:dos_counter. [file`, or with version 3
/// `Matched "Operator `Gt' with parameter `12' against variable `IP:dos_counter' (`. It opens the message, so nothing
/// that a client sent can stand before it.
fn compared_number(text: &str) -> Option<(&str, &str)> {
    let message = text.get(text.find("Access denied with ")?..)?;
    let said = message.split_once("(phase ")?.1.split_once("). ")?.1;
    if let Some(rest) = said.strip_prefix("Operator ") {
        let (operator, rest) = rest.split_once(" matched ")?;
        let (number, rest) = rest.split_once(" at ")?;
        let whole = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit() || b == b'-');
        return Some((operator, rest.split_once(". [file")?.0)).filter(|_| whole);
    }
    let (operator, rest) = said.strip_prefix("Matched \"Operator `")?.split_once("' with parameter `")?;
    let (_, rest) = rest.split_once("' against variable `")?;
    Some((operator, rest.split_once('\'')?.0))
}

/// What a rule of ModSecurity looked at, by the variable in its message: `IPmatch: "..." matched at REMOTE_ADDR. [file`,
/// `Pattern match "..." at REQUEST_HEADERS:User-Agent. [file` (apache2/re.c), or with version 3 `against variable
/// `REMOTE_ADDR' (`. Before it stands what the administrator wrote, behind it what a client sent.
fn modsec_kind(text: &str, edge_address: bool) -> Option<Kind> {
    let message = text.get(text.find("Access denied with ")?..)?;
    let old = || {
        let (_, rest) = message.split_once("\" at ").or_else(|| message.split_once("\" matched at "))?;
        Some(rest.split_once(". [file")?.0)
    };
    let new = || Some(message.split_once("against variable `")?.1.split_once('\'')?.0);
    let variable = compared_number(text).map(|(_, variable)| variable).or_else(old).or_else(new)?;
    Some(match variable {
        "REMOTE_ADDR" if edge_address => Kind::EdgeAddress,
        "REMOTE_ADDR" | "REMOTE_HOST" => Kind::Client,
        // The record that it keeps of the address.
        _ if variable.get(..3).is_some_and(|name| name.eq_ignore_ascii_case("IP:")) => {
            if edge_address {
                Kind::EdgeAddress
            } else {
                Kind::Client
            }
        }
        _ => match variable.strip_prefix("REQUEST_HEADERS:")?.to_ascii_lowercase().as_str() {
            "user-agent" | "cf-connecting-ip" | "x-forwarded-for" | "true-client-ip" | "cf-ipcountry" => Kind::Client,
            _ => Kind::Other,
        },
    })
}

/// A close that takes this much longer than a round trip, in milliseconds, was not decided by a rule alone.
const WORK_MS: i64 = 6;
/// A close that takes this much longer may hide an answer of an application.
const SOME_WORK_MS: i64 = 12;
/// And this much longer even where the error log, silent about it, seems to cover the moment.
const LONG_WORK_MS: i64 = 400;
/// More blocked visitors than this may as well share a blocked edge address.
const FEW_VISITORS: usize = 5;

fn lacking(c: &Case<'_>, server: usize, f: Finding, has_error_log: bool) -> Finding {
    let f = if has_error_log { f } else { f.lacking("the server's error log of that moment (444 may hide a 500, 502 or 504)") };
    match c.w.edge_kind {
        EdgeKind::Full => f,
        _ if c.p.drops.compared(server) => f,
        _ => f.lacking("Logpush rows of succeeding requests (this job delivers failures or a sample only)"),
    }
}

fn kind_of(best: &Best) -> (Kind, f64) {
    match best.property {
        Property::EdgeAddress | Property::EdgeNetwork => (Kind::EdgeAddress, 0.96),
        // A visitor whose every path fails for everybody else, too, met a rule about paths.
        Property::Client | Property::Agent if best.paths_answered >= 0.5 => (Kind::Client, 0.96),
        Property::Client | Property::Agent => (Kind::Other, 0.72),
        _ => (Kind::Other, 0.95),
    }
}

/// The ban after which this request's address was closed on.
fn ban(c: &Case<'_>, best: &Best) -> Option<Evidence> {
    let end = c.end.filter(|_| best.since)?;
    let visitor = c.row.client_ip.as_deref().map_or(0, |ip| key::addr_key(ip.as_bytes()));
    let banned = if best.property == Property::Client { visitor } else { c.edge_key() };
    let all = c.w.by_sig.get(&(c.server?, Sig::Ban))?.iter().filter_map(|&i| c.w.evs.get(i as usize));
    let before = |ev: &&Ev| ev.e.client == banned && ev.utc.is_some_and(|at| at.lo <= end.hi + 2 * SECOND);
    all.filter(before).max_by_key(|ev| ev.utc.map_or(i64::MIN, |at| at.lo)).map(|ev| c.line(ev))
}

fn contrast(best: &Best) -> String {
    let s = &best.split;
    if best.since {
        return format!(
            "closing follows the {}, since it was banned: {} of {} closed requests have one of {} values that {} of {} requests answered \
             meanwhile have",
            best.property.name(),
            s.fail_in,
            s.fail_all,
            s.blocked.len(),
            s.ok_in,
            s.ok_all
        );
    }
    format!(
        "closing follows the {}: {} of {} closed requests have one of {} values that {} of {} answered ones have",
        best.property.name(),
        s.fail_in,
        s.fail_all,
        s.blocked.len(),
        s.ok_in,
        s.ok_all
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_rule_of_modsecurity_looked_at() {
        let said = |tail: &str| {
            format!("[client 203.0.113.7] ModSecurity: Access denied with connection close (phase 1). {tail} [file \"/etc/x.conf\"]")
        };
        let address = said("IPmatch: \"203.0.113.0/24\" matched at REMOTE_ADDR.");
        assert_eq!(modsec_kind(&address, false), Some(Kind::Client));
        assert_eq!(modsec_kind(&address, true), Some(Kind::EdgeAddress));
        assert_eq!(modsec_kind(&said("Pattern match \"(?i)scrapy\" at REQUEST_HEADERS:User-Agent."), true), Some(Kind::Client));
        assert_eq!(modsec_kind(&said("Pattern match \"union\" at ARGS:q."), false), None);
        let third = "ModSecurity: Access denied with code 444 (phase 1). Matched \"Operator `IpMatch' with parameter `203.0.113.0/24' against variable `REMOTE_ADDR' (Value: `203.0.113.7' ) [file \"/x\"]";
        assert_eq!(modsec_kind(third, false), Some(Kind::Client));
        // What a client sends stands behind the variable.
        let sent = said("Pattern match \"x\" at ARGS:q.") + " [data \"a\" at REMOTE_ADDR. [file\"]";
        assert_eq!(modsec_kind(&sent, false), None);
    }

    #[test]
    fn a_counter_of_the_address() {
        let said = |how: &str, tail: &str| {
            format!(
                "[client 172.66.248.149] ModSecurity: Access denied with {how} (phase 1). {tail} [file \"/x\"] [msg \"GT matched 1 at IP:x. [file\"]"
            )
        };
        for counter in [
            "Operator GT matched 12 at IP:dos_counter.",
            "Operator GE matched 100 at ip:requests.",
            "Operator EQ matched 1 at IP:dos_block.",
            "Matched \"Operator `Gt' with parameter `12' against variable `IP:dos_counter' (Value: `13' )",
        ] {
            assert!(is_counter(&said("connection close", counter)), "{counter}");
            assert_eq!(modsec_kind(&said("code 444", counter), true), Some(Kind::EdgeAddress), "{counter}");
            assert_eq!(modsec_kind(&said("code 444", counter), false), Some(Kind::Client), "{counter}");
        }
        for other in [
            // A score of this request, everybody's counter, a mark that earlier sins left, and what a client wrote.
            "Operator GE matched 5 at TX:blocking_inbound_anomaly_score.",
            "Operator GT matched 900 at GLOBAL:requests.",
            "Operator EQ matched 1 at IP:reput_block_flag.",
            "Pattern match \"Operator GT matched 12 at IP:dos_counter. [file\" at ARGS:q.",
        ] {
            assert!(!is_counter(&said("connection close", other)), "{other}");
        }
        assert_eq!(modsec_kind(&said("connection close", "Operator EQ matched 1 at IP:reput_block_flag."), true), Some(Kind::EdgeAddress));
    }
}
