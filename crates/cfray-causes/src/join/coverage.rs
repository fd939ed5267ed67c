//! Does a server's access log cover a moment? Absence is evidence only where it does.

use super::world::{EdgeKind, Ev, Span, World};
use cfray_model::time::SECOND;
use cfray_model::{FactFlags, LineKind};
use std::collections::BTreeMap;

/// What can be said about coverage around a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Covered {
    /// Answered requests of these minutes have their access lines.
    Yes,
    /// They do not, or there is no access log.
    No,
    /// Too little traffic to tell.
    Unclear,
}

/// Coverage by server and span of time, from answered requests that have or lack an access line.
#[derive(Debug, Default)]
pub struct Coverage {
    /// (server, ten-second slot) to (answered with a line, answered without).
    slots: BTreeMap<(usize, i64), (u32, u32)>,
    /// (server, host) to the same: a virtual host may have no log at all.
    hosts: BTreeMap<(usize, u64), (u32, u32)>,
    /// Minutes with access lines in true time, by server.
    minutes: BTreeMap<(usize, i64), u32>,
}

const SLOT: i64 = 10 * SECOND;

impl Coverage {
    /// Counts, for each server, which answered requests left an access line.
    pub fn build(w: &World) -> Self {
        let mut c = Self::default();
        for (i, scan) in w.scans.iter().enumerate() {
            if !scan.kinds.contains_key(&LineKind::Access) {
                continue;
            }
            let server = w.servers.iter().position(|s| s.scans.contains(&i)).unwrap_or(0);
            let zoned_share = scan.written_zone_s().map(|zone| zone * SECOND);
            let Some(clock) = w.clocks.of(i, zoned_share.is_some()) else { continue };
            for (minute, n) in &scan.minutes {
                // Minutes are kept as written, without the zone.
                let utc = minute * 60 * SECOND - zoned_share.unwrap_or(0) - clock.shift_ns;
                *c.minutes.entry((server, utc.div_euclid(60 * SECOND))).or_default() += n;
            }
        }
        let only_server =
            (w.servers.iter().filter(|s| s.has_access).count() == 1).then(|| w.servers.iter().position(|s| s.has_access)).flatten();
        // Few facts own lines: a bit is cheaper to ask than the map.
        let mut owning = vec![0u64; w.edge.facts.len().div_ceil(64)];
        #[allow(clippy::iter_over_hash_type)]
        for fact in w.ties.of_fact.keys() {
            if let Some(word) = owning.get_mut(*fact as usize / 64) {
                *word |= 1 << (fact % 64);
            }
        }
        let owns = |i: usize| owning.get(i / 64).is_some_and(|word| word & (1 << (i % 64)) != 0);
        for (i, f) in w.edge.facts.iter().enumerate() {
            // A job that delivers failures only still has those that the origin itself answered with.
            let own_error = w.edge_kind == EdgeKind::Filtered && matches!(f.origin_status, 500..=504) && f.edge_status == f.origin_status;
            let valid = (f.edge_status < 500 || own_error) && f.flags.has(FactFlags::CONTACTED) && f.request != 0;
            let (true, Some(end)) = (valid, f.end()) else { continue };
            let lines = if owns(i) { w.ties.of_fact.get(&(i as u32)) } else { None };
            let owner = lines.and_then(|list| {
                list.iter().filter_map(|&e| w.evs.get(e as usize)).find(|ev: &&Ev| ev.e.kind == LineKind::Access).map(|ev| ev.server)
            });
            let slot = end.0.div_euclid(SLOT);
            let host = w.keys.get(f.combo as usize).map_or(0, |k| k.host);
            if let Some(server) = owner {
                c.hosts.entry((server, host)).or_default().0 += 1;
                c.slots.entry((server, slot)).or_default().0 += 1;
                continue;
            }
            // Only rows whose request the origin pass was looking for can count as missing.
            if !w.wanted(f) {
                continue;
            }
            let origin = w.edge.combos.get(f.combo as usize).map(|c| c.origin_ip.as_str()).unwrap_or_default();
            let expected = w.origin_servers.get(origin).and_then(|l| l.first()).map(|(s, _)| *s).or(only_server);
            if let Some(server) = expected {
                c.hosts.entry((server, host)).or_default().1 += 1;
                c.slots.entry((server, slot)).or_default().1 += 1;
            }
        }
        c
    }

    /// Is the span covered by the server's access log, for requests to a host ([`cfray_model::key::host_key`])?
    pub fn at(&self, server: usize, span: Span, host: u64) -> Covered {
        if let Some((with, without)) = self.hosts.get(&(server, host))
            && with + without >= 4
            && with * 10 < (with + without) * 3
        {
            return Covered::No;
        }
        let (mut with, mut without) = (0u32, 0u32);
        // Narrow first: a log that starts or stops in the middle must not be averaged away.
        for reach in [1, 3, 6] {
            let range = (server, span.lo.div_euclid(SLOT) - reach)..=(server, span.hi.div_euclid(SLOT) + reach);
            (with, without) = self.slots.range(range).fold((0, 0), |(a, b), (_, (x, y))| (a + x, b + y));
            if with + without >= 8 {
                break;
            }
        }
        if with + without >= 4 {
            return if with * 10 >= (with + without) * 7 { Covered::Yes } else { Covered::No };
        }
        if !self.minutes.keys().any(|(s, _)| *s == server) {
            return Covered::No;
        }
        let minute = span.mid().div_euclid(60 * SECOND);
        let here = self.minutes.range((server, minute - 1)..=(server, minute + 1)).map(|(_, n)| n).sum::<u32>();
        let before = self.minutes.range((server, i64::MIN)..=(server, minute)).next().is_some();
        let after = self.minutes.range((server, minute)..=(server, i64::MAX)).next().is_some();
        if here > 0 && before && after { Covered::Unclear } else { Covered::No }
    }
}
