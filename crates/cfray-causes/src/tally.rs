//! What the audit asks of lines and incidents, in numbers that add up over slices of time.

use crate::join::coverage::{Coverage, Covered};
use crate::join::world::{Span, World};
use cfray_model::{LineKind, OriginEvent, Sig, Stack};
use std::collections::{BTreeMap, BTreeSet};

/// Of one server.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Incidents of the origins that it answers for, where every request is delivered.
    pub incidents: u64,
    /// Those at whose moment its access log has a hole.
    pub uncovered: u64,
    /// Access lines at hand.
    pub lines: u64,
    /// Those with a connection number.
    pub connection: u64,
    /// Those with a duration.
    pub duration: u64,
    /// A line speaks of FastCGI.
    pub fastcgi: bool,
    /// PHP-FPM quotes what a child printed.
    pub prints: bool,
    /// Its sources whose clock is known.
    pub clocked: BTreeSet<String>,
}

/// By name of the server.
pub type Tallies = BTreeMap<String, Tally>;

/// Counts what a world has, and adds it.
pub fn add(tallies: &mut Tallies, w: &World, coverage: &Coverage) {
    let mut by: Vec<Tally> = vec![Tally::default(); w.servers.len()];
    for ev in &w.evs {
        if let Some(tally) = by.get_mut(ev.server) {
            line(tally, &ev.e);
        }
    }
    let answers: BTreeMap<&str, usize> =
        w.origin_servers.iter().filter_map(|(origin, list)| Some((origin.as_str(), list.first()?.0))).collect();
    for row in &w.edge.incidents {
        let server = row.origin_ip.as_deref().and_then(|origin| answers.get(origin).copied());
        let (Some(server), Some(end)) = (server, row.end.or(row.start)) else { continue };
        let Some(tally) = by.get_mut(server) else { continue };
        let span = Span { lo: end.0, hi: end.0.saturating_add(row.precision_ns) };
        tally.incidents += 1;
        tally.uncovered += u64::from(coverage.at(server, span, 0) == Covered::No);
    }
    for (server, mut tally) in w.servers.iter().zip(by) {
        let known = server.scans.iter().filter(|&&i| w.clocks.main(i).is_some());
        tally.clocked = known.filter_map(|&i| w.scans.get(i)).map(|s| s.info.name.clone()).collect();
        tallies.entry(server.name.clone()).or_default().add(tally);
    }
}

fn line(tally: &mut Tally, e: &OriginEvent) {
    if e.kind != LineKind::Access && !(tally.fastcgi && tally.prints) {
        let text = e.text();
        tally.fastcgi = tally.fastcgi || text.contains("fastcgi://") || text.contains("proxy_fcgi");
        tally.prints = tally.prints || text.contains("said into std");
    }
    let preface = e.sig.as_ref().is_some_and(|h| h.sig == Sig::H2Preface);
    if e.kind == LineKind::Access && e.stack != Stack::Fpm && !preface {
        tally.lines += 1;
        tally.connection += u64::from(e.cid.get().is_some() || e.details().log_id != 0);
        tally.duration += u64::from(e.details().duration_us.is_some());
    }
}

impl Tally {
    /// Lines beside a border of two slices are at hand in both; only shares of them are asked for.
    fn add(&mut self, mut other: Self) {
        self.incidents += other.incidents;
        self.uncovered += other.uncovered;
        self.lines += other.lines;
        self.connection += other.connection;
        self.duration += other.duration;
        self.fastcgi |= other.fastcgi;
        self.prints |= other.prints;
        self.clocked.append(&mut other.clocked);
    }
}
