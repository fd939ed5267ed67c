//! Applications that hold Cloudflare's connections themselves, and how their processes end.

use crate::chain::{is_front_process, serves};
use crate::join::world::Ev;
use crate::rule::Case;
use cfray_model::time::SECOND;
use cfray_model::{LineKind, Sig, key};

/// Ports that Cloudflare connects to (developers.cloudflare.com, page "Network ports").
const EDGE_PORTS: &[&str] = &["80", "443", "8080", "8880", "2052", "2082", "2086", "2095", "2053", "2083", "2087", "2096", "8443"];

/// Is what an application says of the place where it listens the very address that Cloudflare connected to?
fn listens_at(place: &str, origin: &str) -> bool {
    let Some((addr, port)) = place.rsplit_once(':') else { return false };
    let addr = addr.trim_matches(['[', ']']);
    let any = matches!(addr, "0.0.0.0" | "::") && matches!(port, "80" | "443");
    any || (!origin.is_empty() && EDGE_PORTS.contains(&port) && key::addr_key(addr.as_bytes()) == key::addr_key(origin.as_bytes()))
}

/// The first lines of a server with a signature.
fn said<'w>(c: &Case<'w>, server: usize, sig: Sig) -> impl Iterator<Item = &'w Ev> {
    const LOOKED_AT: usize = 500;
    let w = c.w;
    w.by_sig.get(&(server, sig)).into_iter().flatten().take(LOOKED_AT).filter_map(|&i| w.evs.get(i as usize))
}

/// The line by which an application server says that it answers Cloudflare itself, where no log of the server is a web
/// server's error log: its process holds the connections.
pub fn app_in_front<'w>(c: &Case<'w>) -> Option<&'w Ev> {
    let server = c.server?;
    let scans = || c.w.servers.get(server).into_iter().flat_map(|s| s.scans.iter()).filter_map(|&i| c.w.scans.get(i));
    if scans().any(|s| s.kinds.contains_key(&LineKind::Error)) {
        return None;
    }
    let origin = c.row.origin_ip.as_deref().unwrap_or_default();
    said(c, server, Sig::AppListening)
        .find(|ev| ev.e.sig.as_ref().and_then(|h| h.name.as_deref()).is_some_and(|place| listens_at(place, origin)))
}

/// How an application's process ended itself over an error: who says so, and what was thrown.
pub struct Exit<'w> {
    /// systemd's, PM2's or supervisor's line, or the runtime's own.
    pub ev: &'w Ev,
    /// A second one.
    pub also: Option<&'w Ev>,
    /// The error that the runtime printed before.
    pub thrown: Option<&'w Ev>,
}

/// The process of an application, not of the web server, left with an exit code of its own making at the request's end.
pub fn app_exit<'w>(c: &Case<'w>, before_ms: i64, after_ms: i64) -> Option<Exit<'w>> {
    // Codes over 128 speak of a signal: a stop.
    const BY_SIGNAL: i64 = 128;
    /// Frames, source line and version stand around the error's own line.
    const LINES: u64 = 60;
    let fits = |ev: &Ev| {
        let Some(hit) = &ev.e.sig else { return false };
        let unit = hit.sig == Sig::UnitExited;
        let backend = |n: &str| serves(n) && !is_front_process(n, None) && !n.contains("php");
        hit.num.is_none_or(|n| n < BY_SIGNAL) && (!unit || hit.name.as_deref().is_some_and(backend))
    };
    let ends: Vec<&Ev> =
        c.near(&[Sig::AppExit, Sig::UnitExited], before_ms, after_ms).into_iter().map(|(_, e)| e).filter(|e| fits(e)).collect();
    let by = |sig: Sig| ends.iter().copied().find(|e| e.e.sig.as_ref().is_some_and(|h| h.sig == sig));
    let unit = by(Sig::UnitExited);
    let own = by(Sig::AppExit).filter(|end| unit.is_some() || !goes_on(c, end));
    let ev = unit.or(own)?;
    let thrown = own.and_then(|end| {
        let near = c.near(&[Sig::AppError], before_ms + 1_000, after_ms).into_iter().map(|(_, e)| e);
        near.filter(|e| e.scan == end.scan && e.e.at.line < end.e.at.line && e.e.at.line + LINES > end.e.at.line)
            .max_by_key(|e| e.e.at.line)
    });
    Some(Exit { ev, also: unit.and(own), thrown })
}

/// Does the process that printed its own last words speak at another time, too? Then they are what it was sent: a process ends once.
fn goes_on(c: &Case<'_>, end: &Ev) -> bool {
    const MOMENT: i64 = 2 * SECOND;
    // Supervisors speak under one id of many processes.
    let Some(pid) = end.e.pid.get().filter(|_| end.e.raw_text && end.e.sig.as_ref().is_some_and(|h| h.num.is_none())) else { return false };
    let other = |ev: &Ev| ev.scan == end.scan && ev.e.pid.get() == Some(pid);
    said(c, end.server, Sig::AppExit).any(|ev| other(ev) && apart(ev, end).abs() > MOMENT)
        || said(c, end.server, Sig::AppError).any(|ev| other(ev) && apart(ev, end) > MOMENT)
}

/// Time from the second event to the first, in nanoseconds.
fn apart(a: &Ev, b: &Ev) -> i64 {
    a.utc.zip(b.utc).map_or(0, |(a, b)| a.lo.saturating_sub(b.lo))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_that_cloudflare_connects_to() {
        assert!(
            listens_at("192.0.2.33:80", "192.0.2.33") && listens_at("[2001:db8::1]:443", "2001:db8::1") && listens_at("0.0.0.0:80", "")
        );
        for (place, origin) in
            [("127.0.0.1:8000", "192.0.2.33"), ("0.0.0.0:8000", "192.0.2.33"), ("192.0.2.33:9000", "192.0.2.33"), ("x", "")]
        {
            assert!(!listens_at(place, origin), "{place}");
        }
    }
}
