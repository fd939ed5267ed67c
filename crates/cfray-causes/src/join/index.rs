//! Look-ups over facts, limited to what the origin events can ask for.

use super::world::Span;
use cfray_model::time::{MILLI, SECOND};
use cfray_model::{Combo, Fact, FactFlags, Facts, LineKind, OriginEvent, key};
use foldhash::{HashMap, HashSet};
use rayon::prelude::*;

/// Facts by ray and by request, only for rays and requests that occur in origin events.
#[derive(Debug, Default)]
pub struct FactIndex {
    by_ray: HashMap<u64, Vec<u32>>,
    by_request: HashMap<u32, Asked>,
}

/// The facts of one request key.
#[derive(Debug, Default)]
struct Asked {
    /// Facts, in their order: by start.
    rows: Vec<u32>,
    /// The longest of them, in milliseconds.
    longest_ms: u32,
}

/// Facts that one thread looks at in one go.
const CHUNK: usize = 1 << 15;
/// Bits of [`Sieve`].
const SIEVE: usize = 1 << 18;

/// Keys seen, by their low bits: most facts are nobody's, and a bit is cheaper to ask than a map.
pub struct Sieve(Vec<u64>);

impl Default for Sieve {
    fn default() -> Self {
        Self(vec![0; SIEVE / 64])
    }
}

impl Sieve {
    /// A key was seen.
    pub fn add(&mut self, key: u64) {
        if let Some(word) = self.0.get_mut(key as usize % SIEVE / 64) {
            *word |= 1 << (key % 64);
        }
    }

    /// No only if the key was never seen.
    pub fn may_hold(&self, key: u64) -> bool {
        self.0.get(key as usize % SIEVE / 64).is_some_and(|word| word & (1 << (key % 64)) != 0)
    }
}

impl FactIndex {
    /// Builds the index.
    pub fn build<'a>(facts: &Facts, events: impl Iterator<Item = &'a OriginEvent>) -> Self {
        let (mut rays, mut requests) = (HashSet::default(), HashSet::default());
        let (mut ray_bits, mut request_bits) = (Sieve::default(), Sieve::default());
        for e in events {
            if e.ray != 0 && rays.insert(e.ray) {
                ray_bits.add(e.ray);
            }
            if e.request != 0 && requests.insert(e.request as u32) {
                request_bits.add(u64::from(e.request as u32));
            }
        }
        let found: Vec<(Vec<u32>, Vec<u32>)> = (0..facts.len().div_ceil(CHUNK))
            .into_par_iter()
            .map(|chunk| {
                let (mut with_ray, mut with_request) = (Vec::new(), Vec::new());
                let from = chunk * CHUNK;
                for (i, f) in (from..).zip(facts.part(from..from + CHUNK)) {
                    if f.ray != 0 && ray_bits.may_hold(f.ray) && rays.contains(&f.ray) {
                        with_ray.push(i as u32);
                    }
                    if f.request != 0 && request_bits.may_hold(u64::from(f.request)) && requests.contains(&f.request) {
                        with_request.push(i as u32);
                    }
                }
                (with_ray, with_request)
            })
            .collect();
        let mut index = Self::default();
        for (with_ray, with_request) in found {
            for i in with_ray {
                if let Some(f) = facts.get(i as usize) {
                    index.by_ray.entry(f.ray).or_default().push(i);
                }
            }
            for i in with_request {
                if let Some(f) = facts.get(i as usize) {
                    let asked = index.by_request.entry(f.request).or_default();
                    asked.rows.push(i);
                    asked.longest_ms = asked.longest_ms.max(f.dur_ms);
                }
            }
        }
        index
    }

    /// Facts with the ray.
    pub fn ray(&self, ray: u64) -> &[u32] {
        self.by_ray.get(&ray).map_or(&[], Vec::as_slice)
    }

    /// Facts with the request key of an event.
    pub fn request(&self, request: u64) -> &[u32] {
        self.asked(request).map_or(&[], |asked| &asked.rows)
    }

    fn asked(&self, request: u64) -> Option<&Asked> {
        if request == 0 { None } else { self.by_request.get(&(request as u32)) }
    }

    /// Those facts with the request key of an event whose life may meet the span of true time (with no span: all),
    /// and those without a time. The answer may hold a few that just miss it.
    pub fn request_near(&self, request: u64, span: Option<Span>, facts: &Facts) -> impl Iterator<Item = u32> {
        let asked = self.asked(request);
        let rows = asked.map_or(&[][..], |asked| &asked.rows);
        let (mut timeless, mut near) = (&rows[..0], rows);
        if let (Some(span), Some(asked)) = (span, asked) {
            let start = |i: &u32| facts.get(*i as usize).map_or(i64::MIN, |f| f.start_ms);
            // A row lives to the end of its last tick, which is a second at most.
            let lo = span.lo.div_euclid(MILLI) - i64::from(asked.longest_ms) - SECOND / MILLI;
            let hi = span.hi.div_euclid(MILLI);
            timeless = rows.get(..rows.partition_point(|i| start(i) == i64::MIN)).unwrap_or_default();
            near = rows
                .get(timeless.len().max(rows.partition_point(|i| start(i) < lo))..rows.partition_point(|i| start(i) <= hi))
                .unwrap_or_default();
        }
        timeless.iter().chain(near).copied()
    }
}

/// Hashes of a combo's strings, as origin events carry them.
#[derive(Clone, Copy, Debug, Default)]
pub struct ComboKeys {
    /// [`key::host_key`].
    pub host: u64,
    /// The same, but 0 for a host that no access log names although they name others: Apache's `%v` is the
    /// virtual host's own name, whichever alias was asked for.
    pub logged_host: u64,
    /// [`key::addr_key`] of the edge address.
    pub edge_ip: u64,
}

impl ComboKeys {
    /// Hashes one combo.
    pub fn of(combo: &Combo) -> Self {
        let host = key::host_key(combo.host.as_bytes());
        Self { host, logged_host: host, edge_ip: key::addr_key(combo.edge_ip.as_bytes()) }
    }
}

/// Which addresses a source's client column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ClientColumn {
    /// Visitor or edge address: comparable with the edge row.
    #[default]
    Comparable,
    /// Something in between (a load balancer, 127.0.0.1): says nothing.
    Opaque,
}

/// Do event and fact agree wherever both sides say something? Time is not looked at.
pub fn agrees(e: &OriginEvent, f: &Fact, keys: &ComboKeys, column: ClientColumn, check_agent: bool) -> bool {
    // nginx's error lines hold the Host header itself.
    let host = if e.kind == LineKind::Access { keys.logged_host } else { keys.host };
    if e.host != 0 && host != 0 && e.host != host {
        return false;
    }
    if check_agent && e.agent != 0 && f.agent != 0 && e.agent as u16 != f.agent {
        return false;
    }
    if column == ClientColumn::Comparable && e.client != 0 && (f.client != 0 || keys.edge_ip != 0) {
        let visitor = f.client != 0 && (e.client as u32 == f.client || (e.visitor != 0 && e.visitor as u32 == f.client));
        let edge = keys.edge_ip != 0 && e.client == keys.edge_ip;
        // A line that shows both addresses must have the visitor right, too.
        let contradicts = e.visitor != 0 && f.client != 0 && e.visitor as u32 != f.client;
        if !(visitor || edge) || contradicts {
            return false;
        }
    }
    true
}

/// Was the origin asked, as far as the row can say?
pub fn may_have_reached_origin(f: &Fact) -> bool {
    f.flags.has(FactFlags::CONTACTED) || f.edge_status >= 500
}
