//! Look-ups over facts, limited to what the origin events can ask for.

use cfray_model::{Combo, Fact, FactFlags, OriginEvent, key};
use std::collections::{HashMap, HashSet};

/// Facts by ray and by request, only for rays and requests that occur in origin events.
#[derive(Debug, Default)]
pub struct FactIndex {
    by_ray: HashMap<u64, Vec<u32>>,
    by_request: HashMap<u32, Vec<u32>>,
}

impl FactIndex {
    /// Builds the index.
    pub fn build<'a>(facts: &[Fact], events: impl Iterator<Item = &'a OriginEvent>) -> Self {
        let mut rays = HashSet::new();
        let mut requests = HashSet::new();
        for e in events {
            if e.ray != 0 {
                rays.insert(e.ray);
            }
            if e.request != 0 {
                requests.insert(e.request as u32);
            }
        }
        let mut index = Self::default();
        for (i, f) in facts.iter().enumerate() {
            if f.ray != 0 && rays.contains(&f.ray) {
                index.by_ray.entry(f.ray).or_default().push(i as u32);
            }
            if f.request != 0 && requests.contains(&f.request) {
                index.by_request.entry(f.request).or_default().push(i as u32);
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
        if request == 0 {
            return &[];
        }
        self.by_request.get(&(request as u32)).map_or(&[], Vec::as_slice)
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
    if e.host != 0 && keys.logged_host != 0 && e.host != keys.logged_host {
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
