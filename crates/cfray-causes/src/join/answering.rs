//! Which server answers for which origin address.

use super::index::ComboKeys;
use super::ties::Ties;
use super::world::{Ev, Span, World};
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
    for (i, (ev, owner)) in evs.iter().zip(&ties.owner).enumerate() {
        // A line that may as well be somebody else's tells nothing of who answers for an address.
        let Some((fact, _)) = owner.filter(|_| !ties.open.contains(&(i as u32))) else { continue };
        let Some(combo) = edge.facts.get(fact as usize).and_then(|f| edge.combos.get(f.combo as usize)) else { continue };
        *by.entry(combo.origin_ip.clone()).or_default().entry(ev.server).or_default() += 1;
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
    let mut open: BTreeMap<&str, (u64, BTreeMap<usize, u64>)> = BTreeMap::new();
    for c in edge.combos.iter().filter(|c| !c.origin_ip.is_empty() && !tied.contains_key(&c.origin_ip)) {
        open.entry(&c.origin_ip).or_default();
    }
    let mut lines: BTreeMap<(u64, usize), Vec<Span>> = BTreeMap::new();
    if !open.is_empty() {
        for (ev, utc) in evs.iter().filter(|ev| about_connection(ev)).filter_map(|ev| Some((ev, ev.utc?))) {
            lines.entry((ev.e.client, ev.server)).or_default().push(utc);
        }
    }
    if lines.is_empty() {
        return BTreeMap::new();
    }
    let servers: BTreeSet<usize> = lines.keys().map(|(_, server)| *server).collect();
    for f in edge.facts.iter().filter(|f| f.edge_status == 520) {
        let (Some(combo), Some(key)) = (edge.combos.get(f.combo as usize), keys.get(f.combo as usize)) else { continue };
        let (Some((failed, met)), Some(life)) = (open.get_mut(combo.origin_ip.as_str()), World::life(f)) else { continue };
        *failed += 1;
        let around = Span { lo: life.lo.saturating_sub(SLACK), hi: life.hi.saturating_add(SLACK) };
        for &server in &servers {
            let list = lines.get(&(key.edge_ip, server)).map_or(&[][..], Vec::as_slice);
            // Events of a server come in order of time.
            let from = list.partition_point(|at| at.hi < around.lo);
            if list.get(from).is_some_and(|at| at.meets(around)) {
                *met.entry(server).or_default() += 1;
            }
        }
    }
    let clear = |(failed, met): &(u64, BTreeMap<usize, u64>)| {
        let mut counts: Vec<u64> = met.values().copied().collect();
        counts.sort_unstable_by_key(|n| Reverse(*n));
        let first = counts.first().copied().unwrap_or(0);
        first >= MET && first * 2 >= *failed && counts.get(1).is_none_or(|second| second * 2 < first)
    };
    open.into_iter().filter(|(_, found)| clear(found)).map(|(origin, (_, met))| (origin.to_owned(), met)).collect()
}
