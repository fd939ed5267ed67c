//! Usual sizes of answers by kind of path, from the access lines of requests that Cloudflare took.

use crate::join::world::{Ev, World};
use cfray_model::{LineKind, key};
use std::collections::BTreeMap;

/// A size beside what is usual.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Excess {
    /// This answer.
    pub size: u64,
    /// Median of the others; 0 without any.
    pub usual: u64,
    /// How many others.
    pub peers: usize,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Sizes {
    by_shape: BTreeMap<(usize, u16), Vec<u64>>,
}

impl Sizes {
    /// Collects sizes of tied lines whose row is not a 520.
    pub fn build(w: &World) -> Self {
        let mut by_shape: BTreeMap<(usize, u16), Vec<u64>> = BTreeMap::new();
        for (ev, owner) in w.evs.iter().zip(&w.ties.owner) {
            let taken = owner.is_none_or(|(f, _)| w.edge.facts.get(f as usize).is_some_and(|f| f.edge_status != 520));
            if ev.e.kind == LineKind::Access
                && taken
                && matches!(ev.e.status, Some(200..=399))
                && let Some(size) = one_size(ev)
            {
                by_shape.entry((ev.scan, key::shape_key(ev.e.path.as_bytes()))).or_default().push(size);
            }
        }
        for list in by_shape.values_mut() {
            list.sort_unstable();
        }
        Self { by_shape }
    }

    /// Compares a line's size with its peers. `None` when the line shows no size.
    pub fn excess(&self, ev: &Ev) -> Option<Excess> {
        let size = one_size(ev)?;
        let peers = self.by_shape.get(&(ev.scan, key::shape_key(ev.e.path.as_bytes()))).map_or(&[][..], Vec::as_slice);
        Some(Excess { size, usual: peers.get(peers.len() / 2).copied().unwrap_or(0), peers: peers.len() })
    }

    /// The line shows that the header is of ordinary size.
    pub fn header_known_small(&self, ev: &Ev) -> bool {
        match (ev.e.bytes_sent, ev.e.body_bytes) {
            (Some(sent), Some(body)) => sent > 0 && sent.saturating_sub(body) < 65_536,
            (Some(sent), None) => sent > 0 && sent < 65_536,
            _ => false,
        }
    }
}

fn one_size(ev: &Ev) -> Option<u64> {
    ev.e.bytes_sent.or(ev.e.size)
}
