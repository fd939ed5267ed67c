//! Look-ups over facts, limited to what the origin events can ask for.

use super::gaps::{Gaps, Lists};
use super::world::Span;
use cfray_model::time::{MILLI, SECOND};
use cfray_model::{Combo, Fact, FactFlags, Facts, LineKind, OriginEvent, key};
use foldhash::{HashMap, HashSet};
use rayon::prelude::*;

/// Facts by ray and by request, only for rays and requests that occur in origin events.
#[derive(Debug, Default)]
pub struct FactIndex {
    /// By ray, where its facts stand in `with_ray`.
    by_ray: HashMap<u64, (u32, u32)>,
    with_ray: Vec<u32>,
    by_request: HashMap<u32, Asked>,
    /// The facts of all requests.
    lists: Lists,
    /// Start of every [`STEP`]th fact, in milliseconds since the epoch.
    ladder: Vec<i64>,
    /// Facts without a time, which come before all others.
    timeless: usize,
}

/// What one thread finds in a chunk: rays and requests with the facts that have them, the latter's durations in milliseconds.
#[derive(Default)]
struct Found {
    with_ray: Vec<(u64, u32)>,
    with_request: Vec<(u32, u32, u32)>,
    ladder: Vec<i64>,
    timeless: usize,
}

/// The facts of one request key.
#[derive(Debug, Default)]
struct Asked {
    /// Facts, in their order: by start.
    rows: Gaps,
    /// The longest of them, in milliseconds.
    longest_ms: u32,
}

/// Facts that one thread looks at in one go.
const CHUNK: usize = 1 << 15;
/// Chunks of which the finds are held at once.
const AT_ONCE: usize = 32;
/// Facts between two whose start is kept: where a time stands is known that well without a look at the facts.
const STEP: usize = 64;
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
            // A line with a ray of its own is asked for by that.
            if e.request != 0 && e.own_ray().is_none() && requests.insert(e.request as u32) {
                request_bits.add(u64::from(e.request as u32));
            }
        }
        let look = |chunk: usize| {
            let mut found = Found::default();
            let from = chunk * CHUNK;
            for (i, f) in (from..).zip(facts.part(from..from + CHUNK)) {
                if i.is_multiple_of(STEP) {
                    found.ladder.push(f.start_ms);
                }
                found.timeless += usize::from(f.start_ms == i64::MIN);
                if f.ray != 0 && ray_bits.may_hold(f.ray) && rays.contains(&f.ray) {
                    found.with_ray.push((f.ray, i as u32));
                }
                if f.request != 0 && request_bits.may_hold(u64::from(f.request)) && requests.contains(&f.request) {
                    found.with_request.push((f.request, i as u32, f.dur_ms));
                }
            }
            found
        };
        let mut index = Self::default();
        let mut with_ray: Vec<(u64, u32)> = Vec::new();
        let chunks = facts.len().div_ceil(CHUNK);
        for from in (0..chunks).step_by(AT_ONCE) {
            let found: Vec<Found> = (from..chunks.min(from + AT_ONCE)).into_par_iter().map(look).collect();
            for part in found {
                index.ladder.extend(part.ladder);
                index.timeless += part.timeless;
                with_ray.extend(part.with_ray);
                for (request, i, dur_ms) in part.with_request {
                    let asked = index.by_request.entry(request).or_default();
                    index.lists.push(&mut asked.rows, i);
                    asked.longest_ms = asked.longest_ms.max(dur_ms);
                }
            }
        }
        with_ray.par_sort_unstable();
        index.with_ray = with_ray.iter().map(|(_, i)| *i).collect();
        index.by_ray.reserve(with_ray.len());
        let mut from = 0;
        for alike in with_ray.chunk_by(|a, b| a.0 == b.0) {
            let to = from + alike.len() as u32;
            index.by_ray.extend(alike.first().map(|(ray, _)| (*ray, (from, to))));
            from = to;
        }
        index
    }

    /// Facts with the ray.
    pub fn ray(&self, ray: u64) -> impl ExactSizeIterator<Item = u32> {
        let place = self.by_ray.get(&ray).and_then(|(from, to)| self.with_ray.get(*from as usize..*to as usize));
        place.unwrap_or_default().iter().copied()
    }

    /// Facts with the request key of an event.
    pub fn request(&self, request: u64) -> impl Iterator<Item = u32> {
        self.asked(request).into_iter().flat_map(|asked| self.lists.from(&asked.rows, 0))
    }

    /// How many facts have the request key of an event.
    pub fn requests(&self, request: u64) -> usize {
        self.asked(request).map_or(0, |asked| asked.rows.len())
    }

    fn asked(&self, request: u64) -> Option<&Asked> {
        if request == 0 { None } else { self.by_request.get(&(request as u32)) }
    }

    /// Those facts with the request key of an event whose life may meet the span of true time (with no span: all),
    /// and those without a time. The answer may hold a few that just miss it.
    pub fn request_near(&self, request: u64, span: Option<Span>) -> impl Iterator<Item = u32> {
        let asked = self.asked(request);
        // Those before the first come in any case; then those from the second on and before the third.
        let (mut timeless, mut from, mut to) = (0, 0, usize::MAX);
        if let (Some(span), Some(asked)) = (span, asked) {
            // A row lives to the end of its last tick, which is a second at most.
            let lo = span.lo.div_euclid(MILLI) - i64::from(asked.longest_ms) - SECOND / MILLI;
            let hi = span.hi.div_euclid(MILLI);
            from = self.ladder.partition_point(|start| *start < lo).saturating_sub(1) * STEP;
            to = self.ladder.partition_point(|start| *start <= hi) * STEP;
            timeless = self.timeless;
            from = from.max(timeless);
        }
        let rows = move |from: usize, to: usize| {
            asked.into_iter().flat_map(move |asked| self.lists.from(&asked.rows, from)).take_while(move |row| (*row as usize) < to)
        };
        rows(0, timeless).chain(rows(from, to))
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
        let visitor =
            f.client != 0 && (e.client as u32 == f.client || (e.details().visitor != 0 && e.details().visitor as u32 == f.client));
        let edge = keys.edge_ip != 0 && e.client == keys.edge_ip;
        // A line that shows both addresses must have the visitor right, too.
        let contradicts = e.details().visitor != 0 && f.client != 0 && e.details().visitor as u32 != f.client;
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// The ladder may let a few rows more through, but none that lives in the span is missed.
        #[test]
        fn every_row_that_lives_in_a_span_is_near_it(
            rows in prop::collection::vec((prop::option::of(0i64..4_000), 0u32..2_000, 1u32..3), 0..400),
            span in (-10i64..5_000, 0i64..500),
        ) {
            let mut facts: Vec<Fact> = rows
                .into_iter()
                .map(|(start, dur_ms, request)| Fact { start_ms: start.unwrap_or(i64::MIN), dur_ms, request, ..Fact::default() })
                .collect();
            facts.sort();
            let facts = Facts::from(facts);
            let asked = OriginEvent { request: 1, ..crate::testing::event() };
            let index = FactIndex::build(&facts, [&asked].into_iter());
            let span = Span { lo: span.0 * MILLI, hi: (span.0 + span.1) * MILLI };
            let near: Vec<u32> = index.request_near(1, Some(span)).collect();
            let wanted = facts.iter().zip(0u32..).filter(|(f, _)| {
                f.request == 1 && crate::join::World::life(f).is_none_or(|life| life.meets(span))
            });
            for (_, i) in wanted {
                prop_assert!(near.contains(&i), "{i} {near:?}");
            }
            prop_assert!(near.windows(2).all(|pair| pair[0] < pair[1]));
            prop_assert!(near.iter().all(|i| facts.get(*i as usize).is_some_and(|f| f.request == 1)));
            prop_assert_eq!(index.request_near(2, Some(span)).count(), 0);
        }
    }
}
