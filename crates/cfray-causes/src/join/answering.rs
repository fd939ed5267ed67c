//! Which server answers for which origin address.

use super::index::ComboKeys;
use super::ties::Ties;
use super::world::{Ev, Span, World};
use crate::numbered::numbered;
use crate::population::spoke_http;
use cfray_model::time::SECOND;
use cfray_model::{EdgeScan, Sig};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// OriginIP to (server, ties), most ties first.
pub type OriginServers = BTreeMap<String, Vec<(usize, u64)>>;

/// So many failures of an address have to meet a server's lines.
const MET: u64 = 3;
/// Around a failure, a line about its connection is looked for this far.
const SLACK: i64 = SECOND;

/// Learns from ties, and for addresses that have none from lines about connections.
pub fn origin_servers(evs: &[Ev], ties: &Ties, edge: &EdgeScan, keys: &[ComboKeys]) -> OriginServers {
    let mut by: BTreeMap<String, BTreeMap<usize, u64>> = BTreeMap::new();
    for (server, fact) in ties.certain(evs) {
        let Some(combo) = edge.facts.get(fact as usize).and_then(|f| edge.combos.get(f.combo as usize)) else { continue };
        *by.entry(combo.origin_ip.clone()).or_default().entry(server).or_default() += 1;
    }
    for (origin, servers) in by_connections(evs, edge, keys, &by) {
        by.insert(origin, servers);
    }
    let ranked = |by: BTreeMap<usize, u64>| {
        let mut list: Vec<(usize, u64)> = by.into_iter().collect();
        list.sort_by_key(|&(server, n)| (Reverse(n), server));
        list
    };
    by.into_iter().map(|(origin, by)| (origin, ranked(by))).collect()
}

/// A line about a connection that was refused before a request was read, and whose peer it names.
fn about_connection(ev: &Ev) -> bool {
    let refused = |sig| matches!(sig, Sig::ProxyProtocol | Sig::ApacheClientCert | Sig::PeerClientCert);
    ev.e.client != 0 && ev.e.sig.as_ref().is_some_and(|hit| refused(hit.sig))
}

/// A listener that refuses every connection before a request was read (PROXY protocol, certificates) owns no request. What it
/// writes names the peer, an edge address: an address most of whose failures meet such a line of one server, and of no other as
/// often, is that server's.
fn by_connections(
    evs: &[Ev],
    edge: &EdgeScan,
    keys: &[ComboKeys],
    tied: &BTreeMap<String, BTreeMap<usize, u64>>,
) -> BTreeMap<String, BTreeMap<usize, u64>> {
    let open = |origin: &&str| !origin.is_empty() && !tied.contains_key(*origin);
    let (open_of, origins) = numbered(edge.combos.iter().map(|c| Some(c.origin_ip.as_str()).filter(open)));
    let mut lines: BTreeMap<(u64, usize), Vec<Span>> = BTreeMap::new();
    if !origins.is_empty() {
        for (ev, utc) in evs.iter().filter(|ev| about_connection(ev)).filter_map(|ev| Some((ev, ev.utc?))) {
            lines.entry((ev.e.client, ev.server)).or_default().push(utc);
        }
    }
    if lines.is_empty() {
        return BTreeMap::new();
    }
    let servers: BTreeSet<usize> = lines.keys().map(|(_, server)| *server).collect();
    let mut seen = vec![Seen::default(); origins.len()];
    for f in &edge.facts {
        let open = open_of.get(f.combo as usize).copied().flatten();
        let Some(it) = open.and_then(|open| seen.get_mut(open)) else { continue };
        it.spoke |= spoke_http(f);
        let (520, Some(key), Some(life)) = (f.edge_status, keys.get(f.combo as usize), World::life(f)) else { continue };
        it.failed += 1;
        let around = Span { lo: life.lo.saturating_sub(SLACK), hi: life.hi.saturating_add(SLACK) };
        for &server in &servers {
            let list = lines.get(&(key.edge_ip, server)).map_or(&[][..], Vec::as_slice);
            // Events of a server come in order of time.
            let from = list.partition_point(|at| at.hi < around.lo);
            if list.get(from).is_some_and(|at| at.meets(around)) {
                *it.met.entry(server).or_default() += 1;
            }
        }
    }
    let clear: Vec<(&str, &Seen, usize)> = (origins.iter())
        .filter_map(|(origin, number)| {
            let it = seen.get(*number)?;
            Some((*origin, it, it.server()?))
        })
        .collect();
    // A line is about one connection: where addresses fail more often together than the server has lines, one of them is another's.
    let written = |server: usize| lines.iter().filter(|((_, of), _)| *of == server).map(|(_, list)| list.len() as u64).sum::<u64>();
    let enough =
        |server: usize| clear.iter().filter(|(.., of)| *of == server).map(|(_, it, _)| it.failed).sum::<u64>() * 4 <= written(server) * 5;
    let sure: BTreeSet<usize> = servers.into_iter().filter(|server| enough(*server)).collect();
    clear.iter().filter(|(.., server)| sure.contains(server)).map(|(origin, it, _)| ((*origin).to_owned(), it.met.clone())).collect()
}

/// What an address without ties did.
#[derive(Clone, Debug, Default)]
struct Seen {
    /// It answered somebody: no listener that refuses everybody.
    spoke: bool,
    failed: u64,
    /// Failures at whose moment a server wrote about a connection of that edge address.
    met: BTreeMap<usize, u64>,
}

impl Seen {
    /// The server whose lines most of the failures meet.
    fn server(&self) -> Option<usize> {
        let mut counts: Vec<(u64, usize)> = self.met.iter().map(|(server, n)| (*n, *server)).collect();
        counts.sort_unstable_by_key(|(n, server)| (Reverse(*n), *server));
        let (first, server) = *counts.first()?;
        let alone = counts.get(1).is_none_or(|(second, _)| second * 2 < first);
        (!self.spoke && first >= MET && first * 2 >= self.failed && alone).then_some(server)
    }
}
