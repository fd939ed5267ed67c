//! Closes on purpose: 444 or a ModSecurity drop says that the server hung up, not why. Contrast
//! decides between edge address, visitor and any other rule.

use crate::join::world::Ev;
use crate::population::drops::{self, Best, Property};
use crate::rule::{Case, Finding, sentence};
use cfray_model::{Cause, EvidenceKind, Sig, key};

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
    let edge = c.row.edge_ip.as_deref().map_or(0, |ip| key::addr_key(ip.as_bytes()));
    edge != 0 && ev.e.client == edge
}

/// The finding of one of the three rules, if its kind of explanation is the best.
pub fn finding(c: &Case<'_>, kind: Kind, cause: Cause) -> Option<Finding> {
    let fact = c.fact_id?;
    let server = drops::unexplained(c.w, fact)?;
    let drop_line = c.own(&[Sig::ModsecDrop, Sig::ModsecDeny, Sig::AccessForbidden]);
    let tie = c.access.or(drop_line)?.2;
    let lines = |f: Finding| f.with_all(c.access_line()).with_all(drop_line.map(|o| c.line(o.1)));
    // Without an error log a hidden fault looks the same.
    let has_error_log = c.w.servers.get(server).is_some_and(|s| s.has_error);
    let known = if has_error_log || drop_line.is_some() { 1.0 } else { 0.85 };
    let Some(best) = c.p.drops.explains(server, fact) else {
        if kind != Kind::Other {
            return None;
        }
        let f = lines(Finding::new(cause, if drop_line.is_some() { 0.8 } else { 0.66 * known }, tie));
        return Some(lacking(c, f.with(c.timing()), has_error_log));
    };
    let (of, score) = kind_of(best);
    if of != kind {
        return None;
    }
    let mut f = lines(Finding::new(cause, score * known, tie)).with(sentence(EvidenceKind::Contrast, contrast(best)));
    if kind == Kind::Other && matches!(best.property, Property::Client | Property::Agent) {
        f = f.or_else(Cause::ClientBlocked, 0.25);
    }
    Some(lacking(c, f, has_error_log))
}

fn lacking(c: &Case<'_>, f: Finding, has_error_log: bool) -> Finding {
    let f = if has_error_log { f } else { f.lacking("the server's error log (444 may hide a 502 or 504)") };
    match c.w.edge_kind {
        crate::join::world::EdgeKind::Full => f,
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

fn contrast(best: &Best) -> String {
    let s = &best.split;
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
