//! Does a server's access log cover a moment? Absence is evidence only where it does.

use super::world::{EdgeKind, Ev, Span, World};
use cfray_model::time::SECOND;
use cfray_model::{FactFlags, LineKind};
use std::collections::{BTreeMap, HashMap};

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
    /// The same requests one by one: by server, ends in order of time, and whether a line is there.
    nearby: BTreeMap<usize, Vec<(i64, bool)>>,
    /// Minutes with access lines in true time, by server.
    minutes: BTreeMap<(usize, i64), u32>,
    /// First and last moment of each access log in true time, by server.
    spans: BTreeMap<usize, Vec<(i64, i64)>>,
}

const SLOT: i64 = 10 * SECOND;
/// So many answered requests in a row on one side of a moment without a line are a hole that begins there.
const IN_A_ROW: usize = 4;
/// Requests farther away say nothing about a moment.
const NEARBY: i64 = 60 * SECOND;

impl Coverage {
    /// Counts, for each server, which answered requests left an access line.
    pub fn build(w: &World) -> Self {
        let mut c = Self::default();
        let server_of: HashMap<usize, usize> =
            w.servers.iter().enumerate().rev().flat_map(|(server, s)| s.scans.iter().map(move |scan| (*scan, server))).collect();
        for (i, scan) in w.scans.iter().enumerate() {
            if !scan.kinds.contains_key(&LineKind::Access) {
                continue;
            }
            let server = server_of.get(&i).copied().unwrap_or(0);
            let zoned_share = scan.written_zone_s().map(|zone| zone * SECOND);
            let Some(clock) = w.clocks.of(i, zoned_share.is_some()) else { continue };
            if let (Some(first), Some(last)) = (scan.first_ns.and_then(|t| w.true_ns(i, t)), scan.last_ns.and_then(|t| w.true_ns(i, t))) {
                let span = (first.saturating_sub(clock.error_ns), last.saturating_add(clock.error_ns + SECOND));
                c.spans.entry(server).or_default().push(span);
            }
            for (minute, n) in &scan.minutes {
                // Minutes are kept as written, without the zone.
                let stated = minute.saturating_mul(60 * SECOND).saturating_sub(zoned_share.unwrap_or(0));
                let utc = stated.saturating_sub(clock.shift_near(stated));
                *c.minutes.entry((server, utc.div_euclid(60 * SECOND))).or_default() += n;
            }
        }
        let only_server =
            (w.servers.iter().filter(|s| s.has_access).count() == 1).then(|| w.servers.iter().position(|s| s.has_access)).flatten();
        // Few facts own lines: a bit is cheaper to ask than their list.
        let mut owning = vec![0u64; w.edge.facts.len().div_ceil(64)];
        for fact in w.ties.of_fact.keys() {
            if let Some(word) = owning.get_mut(*fact as usize / 64) {
                *word |= 1 << (fact % 64);
            }
        }
        // Lines without a time are tied where a request is the only one of its kind: of others they would tell nothing.
        let timed = |ev: &Ev| ev.utc.is_some() || ev.e.time().is_some();
        let owns = |i: usize| owning.get(i / 64).is_some_and(|word| word & (1 << (i % 64)) != 0);
        for (i, f) in w.edge.facts.iter().enumerate() {
            // A job that delivers failures only still has those that the origin itself answered with.
            let own_error = w.edge_kind == EdgeKind::Filtered && matches!(f.origin_status, 500..=504) && f.edge_status == f.origin_status;
            let valid = (f.edge_status < 500 || own_error) && f.flags.has(FactFlags::CONTACTED) && f.request != 0;
            let (true, Some(end)) = (valid, f.end()) else { continue };
            let lines = if owns(i) { w.ties.of_fact.get(&(i as u32)) } else { None };
            let owner = lines.and_then(|list| {
                list.iter()
                    .filter_map(|&e| w.evs.get(e as usize))
                    .find(|ev: &&Ev| ev.e.kind == LineKind::Access && timed(ev))
                    .map(|ev| ev.server)
            });
            let slot = end.0.div_euclid(SLOT);
            let host = w.keys.get(f.combo as usize).map_or(0, |k| k.host);
            if let Some(server) = owner {
                c.hosts.entry((server, host)).or_default().0 += 1;
                c.slots.entry((server, slot)).or_default().0 += 1;
                c.nearby.entry(server).or_default().push((end.0, true));
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
                c.nearby.entry(server).or_default().push((end.0, false));
            }
        }
        for list in c.nearby.values_mut() {
            list.sort_unstable();
        }
        c
    }

    /// Does a hole begin next to the moment: are the nearest answered requests on one side all without a line? Slots of
    /// ten seconds would average the edge of a hole away.
    fn beside_hole(&self, server: usize, span: Span, in_a_row: usize) -> bool {
        let Some(list) = self.nearby.get(&server) else { return false };
        let middle = list.partition_point(|(at, _)| *at < span.mid());
        let near = |x: &&(i64, bool)| (x.0 - span.mid()).abs() <= NEARBY;
        // Stamps may be whole seconds: requests of one moment stand together.
        let lacking = |side: &mut dyn Iterator<Item = (i64, bool)>| {
            let (mut n, mut last) = (0, None);
            for (at, with) in side {
                if n >= in_a_row && last != Some(at) {
                    break;
                }
                if with {
                    return false;
                }
                (n, last) = (n + 1, Some(at));
            }
            n >= in_a_row
        };
        let (before, after) = list.split_at(middle);
        lacking(&mut before.iter().rev().take_while(near).copied()) || lacking(&mut after.iter().take_while(near).copied())
    }

    /// Is the span covered by the server's access log, for requests to a host ([`cfray_model::key::host_key`])?
    pub fn at(&self, server: usize, span: Span, host: u64) -> Covered {
        if let Some((with, without)) = self.hosts.get(&(server, host))
            && with + without >= 4
            && with * 10 < (with + without) * 3
        {
            return Covered::No;
        }
        // An end before the start is some clock's fault.
        let span = Span { lo: span.lo, hi: span.hi.max(span.lo) };
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
            let most = with * 10 >= (with + without) * 7;
            return if most && !self.beside_hole(server, span, IN_A_ROW) { Covered::Yes } else { Covered::No };
        }
        if self.beside_hole(server, span, 1) {
            return Covered::No;
        }
        if !self.minutes.keys().any(|(s, _)| *s == server) {
            return Covered::No;
        }
        let minute = span.mid().div_euclid(60 * SECOND);
        let here = self.minutes.range((server, minute - 1)..=(server, minute + 1)).map(|(_, n)| n).sum::<u32>();
        // A rotated set's pieces meet, so a moment between two of them counts as inside.
        let spans = self.spans.get(&server).map_or(&[][..], Vec::as_slice);
        let before = spans.iter().any(|s| s.0 <= span.hi);
        let after = spans.iter().any(|s| s.1 >= span.lo);
        if here > 0 && before && after { Covered::Unclear } else { Covered::No }
    }
}
