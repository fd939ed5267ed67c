//! Usual sizes of answers by kind of path, from the access lines of requests that Cloudflare took.

use crate::join::world::{Ev, World};
use cfray_model::{Fact, LineKind, key};
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
    /// 520s with an ordinary access line, and all: by kind of path, by client, and together.
    pages: BTreeMap<u16, Told>,
    clients: BTreeMap<u32, Told>,
    all: Told,
}

/// How many 520s have an ordinary access line, and how many there are.
#[derive(Clone, Copy, Debug, Default)]
struct Told {
    ordinary: u32,
    of: u32,
}

impl Told {
    fn add(&mut self, ordinary: bool) {
        self.ordinary += u32::from(ordinary);
        self.of += 1;
    }

    const fn most(self, least: u32) -> bool {
        self.of >= least && self.ordinary * 2 >= self.of
    }
}

impl Sizes {
    /// Collects sizes of tied lines whose row is not a 520.
    pub fn build(w: &World) -> Self {
        let mut by_shape: BTreeMap<(usize, u16), Vec<u64>> = BTreeMap::new();
        // Lines without a row may be those of 520s that the job did not deliver.
        let mut unowned: BTreeMap<(usize, u16), Vec<u64>> = BTreeMap::new();
        for (ev, owner) in w.evs.iter().zip(&w.ties.owner) {
            let taken = owner.is_none_or(|(f, _)| w.edge.facts.get(f as usize).is_some_and(|f| f.edge_status != 520));
            if ev.e.kind == LineKind::Access
                && taken
                && matches!(ev.e.status, Some(200..=399))
                && let Some(size) = one_size(ev)
            {
                let list = if owner.is_some() { &mut by_shape } else { &mut unowned };
                list.entry((ev.scan, key::shape_key(ev.e.path.as_bytes()))).or_default().push(size);
            }
        }
        for (shape, list) in unowned {
            by_shape.entry(shape).or_insert(list);
        }
        for list in by_shape.values_mut() {
            list.sort_unstable();
        }
        let mut sizes = Self { by_shape, ..Self::default() };
        for fact in w.incident_fact.iter().flatten() {
            let Some(f) = w.edge.facts.get(*fact as usize) else { continue };
            let lines = w.ties.of_fact.get(fact).into_iter().flatten().filter_map(|&e| w.evs.get(e as usize));
            let ordinary = lines.filter(|ev| ev.e.kind == LineKind::Access).any(|ev| matches!(ev.e.status, Some(200..=399)));
            sizes.pages.entry(f.shape).or_default().add(ordinary);
            sizes.clients.entry(f.client).or_default().add(ordinary);
            sizes.all.add(ordinary);
        }
        sizes
    }

    /// Is it usual that the 520s of this page, this visitor or, where neither tells, of these logs have an ordinary access
    /// line? A header that is too large is a property of a page or a visitor. Where others of the kind left no line, this one
    /// is rather that of a repetition whose row the job did not deliver.
    pub fn ordinary_is_usual(&self, f: &Fact) -> bool {
        let page = self.pages.get(&f.shape).copied().unwrap_or_default();
        let client = self.clients.get(&f.client).copied().unwrap_or_default();
        page.most(2) || client.most(3) || (page.of < 2 && self.all.most(1))
    }

    /// Compares a line's size with its peers. `None` when the line shows no size.
    pub fn excess(&self, ev: &Ev) -> Option<Excess> {
        let size = one_size(ev)?;
        let peers = self.by_shape.get(&(ev.scan, key::shape_key(ev.e.path.as_bytes()))).map_or(&[][..], Vec::as_slice);
        Some(Excess { size, usual: peers.get(peers.len() / 2).copied().unwrap_or(0), peers: peers.len() })
    }

    /// The line shows that the header is of ordinary size.
    pub fn header_known_small(&self, ev: &Ev) -> bool {
        match (ev.e.details().bytes_sent, ev.e.details().body_bytes) {
            (Some(sent), Some(body)) => sent > 0 && sent.saturating_sub(body) < 65_536,
            (Some(sent), None) => sent > 0 && sent < 65_536,
            _ => false,
        }
    }
}

fn one_size(ev: &Ev) -> Option<u64> {
    ev.e.details().bytes_sent.or(ev.e.size.get())
}
