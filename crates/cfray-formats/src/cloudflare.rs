//! Cloudflare's published address ranges, built in.

use crate::fields::addr::plain_v4;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The day on which the list was compared with <https://www.cloudflare.com/ips/>.
pub const RANGES_DATE: &str = "2026-08-20";

const fn v4(a: u8, b: u8, c: u8, prefix: u8) -> (IpAddr, u8) {
    (IpAddr::V4(Ipv4Addr::new(a, b, c, 0)), prefix)
}

const fn v6(a: u16, b: u16, prefix: u8) -> (IpAddr, u8) {
    (IpAddr::V6(Ipv6Addr::new(a, b, 0, 0, 0, 0, 0, 0)), prefix)
}

const RANGES: &[(IpAddr, u8)] = &[
    v4(173, 245, 48, 20),
    v4(103, 21, 244, 22),
    v4(103, 22, 200, 22),
    v4(103, 31, 4, 22),
    v4(141, 101, 64, 18),
    v4(108, 162, 192, 18),
    v4(190, 93, 240, 20),
    v4(188, 114, 96, 20),
    v4(197, 234, 240, 22),
    v4(198, 41, 128, 17),
    v4(162, 158, 0, 15),
    v4(104, 16, 0, 13),
    v4(104, 24, 0, 14),
    v4(172, 64, 0, 13),
    v4(131, 0, 72, 22),
    v6(0x2400, 0xcb00, 32),
    v6(0x2606, 0x4700, 32),
    v6(0x2803, 0xf800, 32),
    v6(0x2405, 0xb500, 32),
    v6(0x2405, 0x8100, 32),
    v6(0x2a06, 0x98c0, 29),
    v6(0x2c0f, 0xf248, 32),
];

/// First octets of the networks of IPv4; none of these is larger than a /8.
static FIRST_OCTETS: [bool; 256] = {
    let mut table = [false; 256];
    let mut i = 0;
    while i < RANGES.len() {
        if let IpAddr::V4(network) = RANGES[i].0 {
            table[network.octets()[0] as usize] = true;
        }
        i += 1;
    }
    table
};

/// The published list as (network, prefix length); 15 networks of IPv4, then 7 of IPv6.
pub fn cloudflare_ranges() -> &'static [(IpAddr, u8)] {
    RANGES
}

/// Does the address lie in the published list? IPv4 mapped into IPv6 counts as IPv4.
pub fn is_cloudflare(addr: IpAddr) -> bool {
    let addr = addr.to_canonical();
    if let IpAddr::V4(v4) = addr
        && !FIRST_OCTETS[usize::from(v4.octets()[0])]
    {
        return false;
    }
    RANGES.iter().any(|(network, prefix)| match (network, addr) {
        (IpAddr::V4(network), IpAddr::V4(addr)) => (network.to_bits() ^ addr.to_bits()) >> (32 - prefix) == 0,
        (IpAddr::V6(network), IpAddr::V6(addr)) => (network.to_bits() ^ addr.to_bits()) >> (128 - prefix) == 0,
        _ => false,
    })
}

/// Is the text, also in brackets, an address in the published list?
pub fn reads_cloudflare(text: &[u8]) -> bool {
    if let Some(v4) = plain_v4(text) {
        return is_cloudflare(IpAddr::V4(v4));
    }
    // Of nearly all addresses of IPv6 the first group says that they are not; mapped ones of IPv4 begin with nothing.
    let digits = text.iter().take(5).take_while(|b| b.is_ascii_hexdigit()).count();
    if (1..5).contains(&digits) && text.get(digits) == Some(&b':') {
        let digit = |b: &u8| (*b as char).to_digit(16).unwrap_or(0) as u16;
        let first = text.iter().take(digits).fold(0, |first, b| first << 4 | digit(b));
        if first != 0 && !RANGES.iter().any(|(network, _)| matches!(network, IpAddr::V6(network) if network.segments()[0] == first)) {
            return false;
        }
    }
    std::str::from_utf8(text).ok().and_then(|t| t.trim_matches(['[', ']']).parse().ok()).is_some_and(is_cloudflare)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_short_way_says_what_the_long_one_says(
            addr in "(2606:4700:|2a06:98c[0-9a-f]:|2400:cb00:|2c0f:f24[0-9]:|2001:db8:|0?2606:4700:|\\[2405:8100:|::ffff:|0:0:)[0-9a-f:.]{0,12}\\]?|::ffff:172.64.0.1|2606:4700::6810:1",
        ) {
            let long = addr.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(is_cloudflare);
            prop_assert_eq!(reads_cloudflare(addr.as_bytes()), long);
        }
    }

    #[test]
    fn the_first_group_decides_for_most() {
        for (network, _) in RANGES {
            assert!(reads_cloudflare(network.to_string().as_bytes()), "{network}");
        }
        assert!(reads_cloudflare(b"0:0:0:0:0:ffff:172.64.0.1") && !reads_cloudflare(b"0:0:0:0:0:ffff:172.72.0.0"));
        assert!(!reads_cloudflare(b"2001:db8::1") && !reads_cloudflare(b"2a0d:98c0::1"));
    }

    #[test]
    fn borders() {
        for (addr, inside) in [
            ("172.64.0.0", true),
            ("172.71.255.255", true),
            ("172.72.0.0", false),
            ("104.28.0.1", false),
            ("104.27.255.255", true),
            ("162.159.121.77", true),
            ("2a06:98c7:ffff::1", true),
            ("2a06:98c8::1", false),
            ("::ffff:173.245.48.1", true),
            ("198.51.100.1", false),
        ] {
            assert_eq!(is_cloudflare(addr.parse().unwrap()), inside, "{addr}");
        }
        assert!(RANGES.iter().all(|(_, prefix)| *prefix >= 8));
        assert_eq!(RANGES.iter().filter(|(a, _)| a.is_ipv4()).count(), 15);
    }
}
