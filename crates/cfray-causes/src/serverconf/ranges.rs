//! Cloudflare's address ranges, and lists in configurations held against them.

use ipnet::IpNet;

/// A list of Cloudflare's networks.
#[derive(Clone, Debug)]
pub struct Ranges {
    /// Networks, sorted.
    pub nets: Vec<IpNet>,
    /// Where the list is from: "built in, of 2026-08-20" or a file's name.
    pub source: String,
}

/// Networks that were in Cloudflare's list once and stand in old configurations (domain facts: seen in
/// repositories; 104.16.0.0/12 was split in 2021 and its upper quarter is no longer Cloudflare's).
const STALE: &[&str] = &["104.16.0.0/12", "199.27.128.0/21"];

impl Default for Ranges {
    fn default() -> Self {
        let nets = cfray_formats::cloudflare_ranges().iter().filter_map(|(addr, prefix)| IpNet::new(*addr, *prefix).ok()).collect();
        Self::sorted(nets, format!("built in, of {}", cfray_formats::cloudflare::RANGES_DATE))
    }
}

impl Ranges {
    fn sorted(mut nets: Vec<IpNet>, source: String) -> Self {
        nets.sort();
        nets.dedup();
        Self { nets, source }
    }

    /// Reads a list: one network (or address) a line, `#` begins a comment. The error names the line.
    pub fn parse(text: &str, source: &str) -> Result<Self, String> {
        let mut nets = Vec::new();
        for (at, line) in text.lines().enumerate() {
            let net = line.split('#').next().unwrap_or_default().trim().trim_end_matches([',', ';']);
            if net.is_empty() {
                continue;
            }
            let parsed = cidr(net).ok_or_else(|| format!("line {}: {net:?} is no network such as 173.245.48.0/20", at + 1))?;
            nets.push(parsed);
        }
        if nets.is_empty() {
            return Err("it holds no network".to_owned());
        }
        Ok(Self::sorted(nets, source.to_owned()))
    }

    /// How many networks a list has that lacks the `missing` ones, and whose list it is held against.
    pub fn share(&self, missing: &[IpNet]) -> String {
        format!("{} of {} networks of Cloudflare's ({})", self.nets.len() - missing.len(), self.nets.len(), self.source)
    }

    /// Holds a list against Cloudflare's.
    pub fn compare(&self, list: &[IpNet]) -> Comparison {
        let covered = IpNet::aggregate(&list.to_vec());
        let inside = |net: &IpNet| covered.iter().any(|c| c.contains(net));
        let touched = |net: &IpNet| covered.iter().any(|c| net.contains(c) || c.contains(net));
        let known: Vec<&IpNet> = self.nets.iter().filter(|n| touched(n)).collect();
        let stale = list.iter().filter(|net| STALE.contains(&net.to_string().as_str()) && !self.nets.contains(net)).copied().collect();
        Comparison { known: known.len(), missing: self.nets.iter().filter(|n| !inside(n)).copied().collect(), stale }
    }
}

/// What a list has and lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// Cloudflare's networks of which it holds at least a part.
    pub known: usize,
    /// Those it does not hold whole.
    pub missing: Vec<IpNet>,
    /// Networks that are Cloudflare's no longer.
    pub stale: Vec<IpNet>,
}

impl Comparison {
    /// Is it meant to be a list of Cloudflare's networks? One that touches a few of them by chance (`10.0.0.0/8`,
    /// `0.0.0.0/0`) is not.
    pub fn meant(&self) -> bool {
        self.known >= 2
    }

    /// Leaves IPv6 out, where the origin has no such address.
    #[must_use]
    pub fn ipv4_only(mut self) -> Self {
        self.missing.retain(|n| matches!(n, IpNet::V4(_)));
        self
    }

    /// Nothing to say?
    pub fn clean(&self) -> bool {
        self.missing.is_empty() && self.stale.is_empty()
    }

    /// In words.
    pub fn text(&self) -> String {
        let names = |list: &[IpNet]| super::some(&list.iter().map(ToString::to_string).collect::<Vec<_>>(), 6);
        match (self.missing.is_empty(), self.stale.is_empty()) {
            (false, true) => format!("lacks {}", names(&self.missing)),
            (true, false) => format!("still holds {}, no longer Cloudflare's as a whole", names(&self.stale)),
            _ => format!("lacks {}; still holds {}", names(&self.missing), names(&self.stale)),
        }
    }
}

/// A network, or an address as a network of one.
pub fn cidr(text: &str) -> Option<IpNet> {
    let text = text.trim();
    text.parse::<IpNet>().map(|n| n.trunc()).ok().or_else(|| text.parse::<std::net::IpAddr>().ok().map(IpNet::from))
}

/// Addresses that no Cloudflare server has: a list of such alone stands for a proxy or tunnel in between.
pub fn private(net: &IpNet) -> bool {
    match net {
        IpNet::V4(n) => {
            let a = n.addr();
            a.is_private() || a.is_loopback() || a.is_link_local() || (a.octets()[0] == 100 && (64..128).contains(&a.octets()[1]))
        }
        IpNet::V6(n) => n.addr().is_loopback() || n.addr().is_unique_local() || n.addr().is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn nets(list: &[&str]) -> Vec<IpNet> {
        list.iter().map(|n| cidr(n).unwrap()).collect()
    }

    #[test]
    fn lists_are_held_against_the_published_one() {
        let ranges = Ranges::default();
        assert_eq!(ranges.nets.len(), 22);
        assert!(ranges.compare(&ranges.nets).clean());
        // Two halves cover a whole; a wider network does, too.
        let mut list: Vec<IpNet> = ranges.nets.iter().filter(|n| n.to_string() != "104.16.0.0/13").copied().collect();
        assert_eq!(ranges.compare(&list).missing, nets(&["104.16.0.0/13"]));
        list.extend(nets(&["104.16.0.0/14", "104.20.0.0/14"]));
        assert!(ranges.compare(&list).clean());
        let old = ranges.compare(&nets(&["104.16.0.0/12", "173.245.48.0/20", "199.27.128.0/21"]));
        assert!(old.meant() && !old.missing.contains(&cidr("104.24.0.0/14").unwrap()));
        assert_eq!(old.stale, nets(&["104.16.0.0/12", "199.27.128.0/21"]));
        assert!(!ranges.compare(&nets(&["10.0.0.0/8", "192.0.2.1"])).meant());
    }

    #[test]
    fn a_file_replaces_the_list() {
        let r = Ranges::parse("# of today\n192.0.2.0/24 # a\n\n2001:db8::/32\n", "ips.txt").unwrap();
        assert_eq!((r.nets.len(), r.source.as_str()), (2, "ips.txt"));
        assert!(Ranges::parse("192.0.2.0/24\n192.0.2.0/33\n", "x").unwrap_err().starts_with("line 2"));
        assert!(Ranges::parse("# nothing\n", "x").is_err());
    }
}
