//! Addresses as logs write them.

use std::net::Ipv4Addr;

/// Does the text look like an IPv4 or IPv6 address? Cheap and without allocation; `::` and zone
/// indexes are not verified beyond their letters.
pub fn is_addr(text: &[u8]) -> bool {
    is_v4(text) || is_v6(text)
}

/// An IPv4 address as every server writes it, and as the standard library reads it: no leading zeros. `None`: perhaps an
/// address of another form.
pub fn plain_v4(text: &[u8]) -> Option<Ipv4Addr> {
    let (mut bits, mut octet, mut digits, mut dots) = (0u32, 0u32, 0, 0);
    for &b in text {
        let digit = u32::from(b.wrapping_sub(b'0'));
        if digit < 10 {
            // More than three digits make more than 255, a leading zero is none.
            if octet > 255 || digits > 0 && octet == 0 {
                return None;
            }
            (octet, digits) = (octet * 10 + digit, digits + 1);
        } else if b == b'.' && digits > 0 && octet < 256 {
            (bits, octet, digits, dots) = (bits << 8 | octet, 0, 0, dots + 1);
        } else {
            return None;
        }
    }
    (dots == 3 && digits > 0 && octet < 256).then(|| Ipv4Addr::from_bits(bits << 8 | octet))
}

fn is_v4(text: &[u8]) -> bool {
    if !(7..=15).contains(&text.len()) {
        return false;
    }
    let (mut dots, mut value, mut len) = (0, 0u32, 0);
    for &b in text {
        match b {
            b'0'..=b'9' => {
                value = value * 10 + u32::from(b - b'0');
                len += 1;
                if value > 255 || len > 3 {
                    return false;
                }
            }
            b'.' if len > 0 => {
                dots += 1;
                (value, len) = (0, 0);
            }
            _ => return false,
        }
    }
    dots == 3 && len > 0
}

fn is_v6(text: &[u8]) -> bool {
    let text = text.strip_prefix(b"[").and_then(|t| t.strip_suffix(b"]")).unwrap_or(text);
    let (mut colons, mut double, mut last) = (0, false, 0);
    for &b in text {
        match b {
            b':' => {
                colons += 1;
                double |= last == b':';
            }
            b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F' | b'.' => {}
            _ => return false,
        }
        last = b;
    }
    // A clock (`17:52:14`) has colons, too: short forms must have the double one.
    (2..=45).contains(&text.len()) && (colons == 7 || (2..=8).contains(&colons) && double)
}

/// Splits `192.0.2.1:443`, `[2001:db8::1]:443` and Apache's unbracketed `2001:db8::1:443` into
/// address and port; without a port the text as it stands.
pub fn split_port(text: &[u8]) -> &[u8] {
    let Some(colon) = memchr::memrchr(b':', text) else { return text };
    let (host, port) = text.split_at(colon);
    if port.len() < 2 || !port.iter().skip(1).all(u8::is_ascii_digit) {
        return text;
    }
    host.strip_prefix(b"[").and_then(|h| h.strip_suffix(b"]")).unwrap_or(host)
}

/// Like [`split_port`], but only when an address is left: `[::1]:80` loses its port, a bare IPv6
/// address keeps its last group, and a host name stays as it is.
pub fn split_port_if_addr(text: &[u8]) -> &[u8] {
    let bare = split_port(text);
    let bracketed = text.first() == Some(&b'[');
    if (is_v4(bare) || bracketed) && is_addr(bare) { bare } else { text }
}

/// A listen address in nginx's `server:` (`0.0.0.0:443`, `[::]:80`, `unix:/run/x.sock`), which
/// stands there as long as no request names a virtual host.
pub fn is_listen(text: &[u8]) -> bool {
    text.starts_with(b"unix:") || (split_port(text).len() < text.len() && is_addr(split_port(text)))
}

/// Loopback and private networks: a front on the same machine or its own network.
pub const fn is_local(ip: std::net::IpAddr) -> bool {
    match ip {
        std::net::IpAddr::V4(ip) => ip.is_loopback() || ip.is_private(),
        std::net::IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn v4_as_the_standard_library_reads_it(text in "[0-9]{1,4}(\\.[0-9]{0,4}){2,5}", odd in "[0-9./a]{0,17}", octets in any::<[u8; 4]>()) {
            let addr = Ipv4Addr::from(octets);
            for text in [text, odd, addr.to_string()] {
                prop_assert_eq!(plain_v4(text.as_bytes()), text.parse().ok());
                prop_assert!(plain_v4(text.as_bytes()).is_none() || is_addr(text.as_bytes()));
            }
        }
    }

    #[test]
    fn recognises() {
        for text in ["198.18.0.1", "2001:db8::1", "::1", "::ffff:192.0.2.1", "[2001:db8::1]", "2001:db8:4ae0:abdf::c9a8"] {
            assert!(is_addr(text.as_bytes()), "{text}");
        }
        for text in ["", "-", "256.1.1.1", "1.2.3", "1.2.3.4.5", "example.com", "example.com:80", "12:30", "17:52:14", "unix:", "1..2.3"] {
            assert!(!is_addr(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn ports() {
        assert_eq!(split_port(b"2001:db8::1:51234"), b"2001:db8::1");
        assert_eq!(split_port(b"[::]:443"), b"::");
        assert_eq!(split_port(b"192.0.2.1:0"), b"192.0.2.1");
        assert_eq!(split_port(b"192.0.2.1"), b"192.0.2.1");
        assert!(is_listen(b"0.0.0.0:443") && is_listen(b"[::]:80") && !is_listen(b"www.example.com"));
    }
}
