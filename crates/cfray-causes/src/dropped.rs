//! Closes on purpose: 444 or a ModSecurity drop says that the server hung up, not why. Contrast
//! decides between edge address, visitor and any other rule.

use crate::chain;
use crate::join::world::{EdgeKind, Ev};
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
    let visitor = c.row.client_ip.as_deref().map_or(0, |ip| key::addr_key(ip.as_bytes()));
    if edge != 0 { ev.e.client == edge } else { visitor != 0 && ev.e.client != 0 && ev.e.client != visitor }
}

/// Did the server close without asking a backend? Only the line itself is asked: its own duration and an
/// upstream's status. What the edge measured depends on fields that a job may not deliver.
fn at_once(c: &Case<'_>) -> Option<bool> {
    let e = &c.access?.1.e;
    if e.upstream_status.is_some() {
        return Some(false);
    }
    e.duration_us.map(|us| us <= 1_000)
}

/// The finding of one of the three rules, if its kind of explanation is the best.
pub fn finding(c: &Case<'_>, kind: Kind, cause: Cause) -> Option<Finding> {
    let fact = c.fact_id?;
    let server = drops::unexplained(c.w, fact)?;
    let drop_line = c.own(&[Sig::ModsecDrop, Sig::ModsecDeny, Sig::AccessForbidden]);
    let tie = c.access.or(drop_line)?.2;
    let lines = |f: Finding| f.with_all(c.access_line()).with_all(drop_line.map(|o| c.line(o.1)));
    // Without an error log of that moment, or after a backend was asked, a hidden fault looks the same.
    let has_error_log = chain::error_log_covers(c, server);
    let asked_nobody = at_once(c);
    let full = c.w.edge_kind == EdgeKind::Full;
    let limit: f64 = match (drop_line.is_some(), asked_nobody) {
        _ if !full => 0.6,
        (true, _) => 1.0,
        (_, Some(false)) => 0.55,
        (_, Some(true)) => 0.96,
        _ if has_error_log => 0.96,
        _ => 0.6,
    };
    // Who is turned away is no property of a fault; what is turned away may be.
    let limit = match kind {
        Kind::Other => limit,
        _ if !full => 0.6,
        _ if has_error_log || drop_line.is_some() => 1.0,
        _ => 0.9,
    };
    let Some(best) = c.p.drops.explains(server, fact) else {
        if kind != Kind::Other {
            return None;
        }
        let f = lines(Finding::new(cause, (if drop_line.is_some() { 0.8 } else { 0.66_f64 }).min(limit), tie));
        return Some(lacking(c, f.with(c.timing()), has_error_log));
    };
    let (of, score) = kind_of(best);
    if of != kind {
        return None;
    }
    let mut f = lines(Finding::new(cause, score.min(limit), tie)).with(sentence(EvidenceKind::Contrast, contrast(best)));
    if kind == Kind::Other && asked_nobody != Some(true) && !has_error_log {
        f = f.or_else(Cause::AppFatal, 0.3);
    }
    if kind == Kind::Other && matches!(best.property, Property::Client | Property::Agent) {
        f = f.or_else(Cause::ClientBlocked, 0.25);
    }
    Some(lacking(c, f, has_error_log))
}

fn lacking(c: &Case<'_>, f: Finding, has_error_log: bool) -> Finding {
    let f = if has_error_log { f } else { f.lacking("the server's error log of that moment (444 may hide a 500, 502 or 504)") };
    match c.w.edge_kind {
        EdgeKind::Full => f,
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
