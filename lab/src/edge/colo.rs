//! Data centres, their distance from the origin, and their addresses: public ones inside
//! Cloudflare's ranges for the logs, loopback ones for the sockets.

use std::net::Ipv4Addr;
use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;

/// Where the origin stands; decides which colo is near.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Site {
    Europe,
    UsEast,
    India,
    Brazil,
    Australia,
}

pub struct Colo {
    pub code: &'static str,
    pub id: u32,
    pub rtt: Duration,
    pub edges: Vec<EdgeAddr>,
    pub visitors: &'static [(&'static str, u32)],
    /// Share of traffic.
    pub weight: u32,
}

#[derive(Clone, Copy, Debug)]
pub struct EdgeAddr {
    pub public: Ipv4Addr,
    pub bind: Ipv4Addr,
}

type Spec = (&'static str, u32, [f64; 5], [u32; 5], &'static [(&'static str, u32)]);

const SPECS: &[Spec] = &[
    ("FRA", 36, [0.6, 88.0, 118.0, 203.0, 276.0], [28, 6, 6, 4, 2], &[("de", 3320), ("at", 8447), ("cz", 5610), ("ch", 3303)]),
    ("AMS", 41, [8.0, 84.0, 126.0, 198.0, 268.0], [16, 5, 4, 3, 2], &[("nl", 1136), ("be", 5432), ("dk", 3292)]),
    ("LHR", 18, [13.0, 76.0, 121.0, 192.0, 264.0], [18, 9, 8, 4, 4], &[("gb", 2856), ("ie", 5466)]),
    ("CDG", 10, [9.5, 80.0, 112.0, 196.0, 270.0], [10, 4, 4, 3, 2], &[("fr", 3215), ("es", 3352)]),
    ("IAD", 7, [91.0, 0.7, 201.0, 118.0, 201.0], [9, 26, 6, 12, 3], &[("us", 7922), ("us", 701)]),
    ("ORD", 23, [104.0, 18.0, 214.0, 131.0, 195.0], [5, 16, 4, 5, 3], &[("us", 7018), ("ca", 577)]),
    ("SJC", 4, [149.0, 64.0, 228.0, 172.0, 148.0], [7, 14, 5, 5, 6], &[("us", 7922), ("us", 21928)]),
    ("BOM", 123, [119.0, 192.0, 0.8, 301.0, 152.0], [5, 4, 30, 2, 4], &[("in", 55836), ("in", 45609)]),
    ("SIN", 35, [163.0, 226.0, 57.0, 326.0, 93.0], [4, 3, 14, 2, 8], &[("sg", 3758), ("my", 4788)]),
    ("GRU", 56, [203.0, 118.0, 305.0, 1.4, 310.0], [3, 6, 2, 40, 1], &[("br", 28573)]),
    ("SYD", 33, [247.0, 201.0, 146.0, 291.0, 0.9], [3, 3, 6, 2, 40], &[("au", 1221), ("nz", 4771)]),
];

/// /16 prefixes inside Cloudflare's published ranges; a recording draws its own /24s from them.
const RANGES: &[[u8; 2]] = &[
    [172, 64],
    [172, 65],
    [172, 66],
    [172, 67],
    [172, 68],
    [172, 69],
    [172, 70],
    [172, 71],
    [162, 158],
    [162, 159],
    [104, 16],
    [104, 22],
    [104, 23],
    [141, 101],
    [108, 162],
    [198, 41],
];

/// Distances are from `site`; how much comes through each is as of an origin at `audience`.
pub fn colos(site: Site, audience: Site, rng: &mut StdRng) -> Vec<Colo> {
    let (s, near) = (site as usize, audience as usize);
    SPECS
        .iter()
        .enumerate()
        .map(|(i, (code, id, rtt, weight, visitors))| {
            let [a, b] = RANGES[rng.random_range(0..RANGES.len())];
            // 141.101.64/18, 108.162.192/18 and 198.41.128/17 are not whole /16s.
            let c = match a {
                141 => rng.random_range(64..128),
                108 => rng.random_range(192..=254u8),
                198 => rng.random_range(128..=254u8),
                _ => rng.random_range(1..=254u8),
            };
            let count = if weight[near] > 12 { 3 } else { 2 };
            let mut edges: Vec<EdgeAddr> = Vec::new();
            while edges.len() < count {
                let public = Ipv4Addr::new(a, b, c, rng.random_range(3..252));
                if edges.iter().all(|e| e.public != public) {
                    let bind = Ipv4Addr::new(127, 200, i as u8 + 1, edges.len() as u8 + 1);
                    edges.push(EdgeAddr { public, bind });
                }
            }
            Colo { code, id: *id, rtt: Duration::from_secs_f64(rtt[s] / 1000.0), edges, visitors, weight: weight[near] }
        })
        .collect()
}

impl EdgeAddr {
    /// The address in logs. To an IPv6 origin Cloudflare's machines come from 2400:cb00::/32.
    pub fn shown(&self, ipv6: bool) -> String {
        let [a, b, c, d] = self.public.octets();
        match ipv6 {
            true => format!("2400:cb00:{}:1024::{a:x}{b:02x}:{c:x}{d:02x}", 30 + self.bind.octets()[2]),
            false => self.public.to_string(),
        }
    }
}

impl Colo {
    /// More edge machines in a colo, for loads that need many separate connections.
    pub fn add_edges(&mut self, n: usize, rng: &mut StdRng) {
        let base = self.edges[0];
        while self.edges.len() < n {
            let o = base.public.octets();
            let public = Ipv4Addr::new(o[0], o[1], o[2], rng.random_range(3..252));
            if self.edges.iter().all(|e| e.public != public) {
                let b = base.bind.octets();
                let bind = Ipv4Addr::new(127, b[1], b[2], self.edges.len() as u8 + 1);
                self.edges.push(EdgeAddr { public, bind });
            }
        }
    }
}
