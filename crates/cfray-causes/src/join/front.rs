//! Of a request that passes through several servers each may log a line. What Cloudflare saw is the one of the server in front.

use super::world::Ev;
use cfray_model::{LineKind, Stack};

/// Orders the access lines of one request: the front's first. Who hung up sent nothing, whatever stood behind it had answered; a
/// web server stands before an application; and the front alone sees Cloudflare's connection, those behind it see the front's,
/// unless they were told.
pub fn rank(ev: &Ev, edge: u64, visitor: u32) -> (bool, bool, bool) {
    (!ev.e.hung_up(), ev.e.stack == Stack::App, !sees(ev, edge, visitor))
}

/// May the server that wrote an access line have Cloudflare's connection itself? Its client is then the edge address or the visitor.
pub fn sees(ev: &Ev, edge: u64, visitor: u32) -> bool {
    ev.e.client == 0 || (edge != 0 && ev.e.client == edge) || (visitor != 0 && ev.e.client as u32 == visitor)
}

/// Is the status of the server behind an error of its own?
pub fn is_failure(status: u16) -> bool {
    (500..=599).contains(&status)
}

/// The status that the server behind answered with, where the front's line tells or a line of its own says that it failed. An answer
/// without an error may as well be the visitor's next try.
pub fn behind<'w>(front: &Ev, others: impl Iterator<Item = &'w Ev>) -> Option<u16> {
    let own = |ev: &&Ev| ev.e.kind == LineKind::Access && ev.scan != front.scan && ev.e.status.is_some_and(is_failure);
    front.e.details().upstream_status.or_else(|| others.filter(own).find_map(|ev| ev.e.status))
}
