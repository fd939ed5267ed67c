//! What the incidents of a run share and do not share with succeeding requests. Computed once, read
//! by every rule.

pub mod colos;
pub mod compared;
pub mod cuts;
pub mod drops;
pub mod fatals;
pub mod gaps;
pub mod late;
pub mod origins;
pub mod silent;
pub mod sizes;
pub mod times;
pub mod windows;

use crate::join::coverage::Coverage;
use crate::join::world::World;
use cfray_model::{EdgeRow, Fact, FactFlags, LineKind, Stack};
use colos::Colos;
use cuts::Cuts;
use drops::Drops;
use fatals::FatalPages;
use gaps::Gaps;
use origins::Origins;
use sizes::Sizes;
use std::collections::{BTreeMap, BTreeSet};
use windows::Windows;

/// Shared findings.
#[derive(Debug, Default)]
pub struct Population {
    /// Which moments each server's access log covers.
    pub coverage: Coverage,
    /// Idle gaps and where they gather.
    pub gaps: Gaps,
    /// Unexplained closes and what they have in common.
    pub drops: Drops,
    /// Lines near failing and near succeeding requests.
    pub windows: Windows,
    /// Which fatal of PHP's log goes with which kind of page.
    pub fatal_pages: FatalPages,
    /// Requests that one event cut off.
    pub cuts: Cuts,
    /// How each origin address fares.
    pub origins: Origins,
    /// Colos that fail what others reach.
    pub colos: Colos,
    /// Usual sizes of answers.
    pub sizes: Sizes,
    /// Rays that other rows name as their parent.
    pub parents: BTreeSet<u64>,
}

impl Population {
    /// Computes everything.
    pub fn build(w: &World) -> Self {
        // Which servers answer for which origins comes from the world alone; only the origins read another's result.
        let mut p = Self::default();
        let none = Self::default();
        // The thread that is here begins with the last, one that comes to help with the first: those take the longest.
        rayon::scope(|s| {
            s.spawn(|_| p.gaps = Gaps::build(w, &none));
            s.spawn(|_| {
                p.coverage = Coverage::build(w);
                p.origins = Origins::build(w, &p.coverage);
            });
            s.spawn(|_| p.windows = Windows::build(w, &none));
            s.spawn(|_| p.sizes = Sizes::build(w));
            s.spawn(|_| p.fatal_pages = FatalPages::build(w));
            s.spawn(|_| p.cuts = Cuts::build(w, &none));
            s.spawn(|_| p.colos = Colos::build(w));
            s.spawn(|_| p.drops = Drops::build(w, &none));
        });
        p.parents = w.edge.incidents.iter().filter_map(|r| r.parent_ray).map(|r| r.0).collect();
        p
    }

    /// A Worker ran for this row: the origin was asked by another row, if at all.
    pub fn is_worker_parent(&self, row: &EdgeRow) -> bool {
        row.ray.is_some_and(|r| self.parents.contains(&r.0))
    }

    /// The server whose logs answer for an edge row that no line is tied to.
    pub fn server_of(&self, w: &World, row: &EdgeRow) -> Option<usize> {
        let origin = row.origin_ip.as_deref().unwrap_or_default();
        self.server_of_origin(w, origin)
    }

    /// The server behind an origin address: learned from ties, else the only one there is.
    pub fn server_of_origin(&self, w: &World, origin: &str) -> Option<usize> {
        if let Some((server, _)) = w.origin_servers.get(origin).and_then(|l| l.first()) {
            return Some(*server);
        }
        let mut speaking = w.servers.iter().enumerate().filter(|(_, s)| s.has_access || s.has_error || !s.scans.is_empty());
        let (only, server) = speaking.next()?;
        if speaking.next().is_some() {
            // Several servers, none known for this origin: the one that owns everything else may do,
            // if the others own nothing and this address is not known to be another machine.
            let mut owning = w.servers.iter().enumerate().filter(|(_, s)| s.tied > 0);
            let (first, _) = owning.next()?;
            return (owning.next().is_none() && origin.is_empty()).then_some(first);
        }
        // One server, but all its lines belong to other origin addresses while this one answers
        // requests that it never logged: another machine.
        if server.tied >= 20 && !origin.is_empty() && !w.origin_servers.is_empty() {
            let answered_elsewhere = w
                .edge
                .facts
                .iter()
                .filter(|f| answered(f) && w.wanted(f))
                .filter(|f| w.edge.combos.get(f.combo as usize).is_some_and(|c| c.origin_ip == origin))
                .take(5)
                .count();
            if answered_elsewhere >= 5 {
                return None;
            }
        }
        Some(only)
    }
}

/// The server behind each origin address of a run.
pub fn server_of_all<'w>(w: &'w World, p: &Population) -> BTreeMap<&'w str, Option<usize>> {
    let origins: BTreeSet<&str> = w.edge.combos.iter().map(|c| c.origin_ip.as_str()).collect();
    origins.into_iter().map(|o| (o, p.server_of_origin(w, o))).collect()
}

/// Did the origin give a usable answer?
pub fn answered(f: &Fact) -> bool {
    f.flags.has(FactFlags::CONTACTED) && !f.flags.has(FactFlags::INTERNAL) && f.edge_status < 500
}

/// Did the origin give any valid HTTP answer, errors included?
pub fn spoke_http(f: &Fact) -> bool {
    f.flags.has(FactFlags::CONTACTED) && (f.edge_status < 500 || matches!(f.edge_status, 500..=504))
}

/// Does an incident's fact own an access line of a web server?
pub fn has_access_line(w: &World, fact: u32) -> bool {
    w.ties.of_fact.get(&fact).is_some_and(|l| {
        l.iter().filter_map(|&e| w.evs.get(e as usize)).any(|ev| ev.e.kind == LineKind::Access && ev.e.stack != Stack::Fpm)
    })
}
