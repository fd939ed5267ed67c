//! Stable 64-bit hashes for joining: the same on every machine, thread and run.

use std::borrow::Cow;
use xxhash_rust::xxh3::xxh3_64;

/// Hash of bytes as they stand.
pub fn bytes_key(bytes: &[u8]) -> u64 {
    xxh3_64(bytes)
}

/// Spreads numbers that lie close or at equal distances over all bits, the upper ones most (Fibonacci hashing): the multiplier is 2^64
/// divided by the golden ratio. For tables that live no longer than a run.
pub const fn spread(number: u64) -> u64 {
    number.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Key of a request: method and request target after [`canonical_uri`].
///
/// Both sides of the join must come through here. Zero is never returned; it means "no request".
pub fn request_key(method: &[u8], uri: &[u8]) -> u64 {
    let uri = canonical_uri(uri);
    let mut buf = Vec::with_capacity(method.len() + uri.len() + 1);
    buf.extend(method.iter().map(u8::to_ascii_uppercase));
    buf.push(b' ');
    buf.extend_from_slice(&uri);
    xxh3_64(&buf).max(1)
}

/// Key of a request's host and path (no query), for "same page" comparisons.
pub fn page_key(host: &[u8], uri: &[u8]) -> u64 {
    let uri = canonical_uri(uri);
    let path = uri.split(|&b| b == b'?').next().unwrap_or(&uri);
    let mut buf = Vec::with_capacity(host.len() + path.len() + 1);
    buf.extend(host_name(host).iter().map(u8::to_ascii_lowercase));
    buf.push(b' ');
    buf.extend_from_slice(path);
    xxh3_64(&buf).max(1)
}

/// Key of an address in any spelling (`::ffff:1.2.3.4` equals `1.2.3.4`); other text hashes as bytes.
pub fn addr_key(addr: &[u8]) -> u64 {
    let parsed = std::str::from_utf8(addr).ok().and_then(|s| s.trim_matches(['[', ']']).parse::<std::net::IpAddr>().ok());
    match parsed.map(|ip| ip.to_canonical()) {
        Some(std::net::IpAddr::V4(ip)) => xxh3_64(&ip.octets()).max(1),
        Some(std::net::IpAddr::V6(ip)) => xxh3_64(&ip.octets()).max(1),
        None if addr.is_empty() || addr == b"-" => 0,
        None => xxh3_64(addr).max(1),
    }
}

/// Key of the /24 (IPv4) or /48 (IPv6) that an address lies in; 0 for other text.
pub fn network_key(addr: &[u8]) -> u64 {
    let parsed = std::str::from_utf8(addr).ok().and_then(|s| s.trim_matches(['[', ']']).parse::<std::net::IpAddr>().ok());
    match parsed.map(|ip| ip.to_canonical()) {
        Some(std::net::IpAddr::V4(ip)) => xxh3_64(&ip.octets()[..3]).max(1),
        Some(std::net::IpAddr::V6(ip)) => xxh3_64(&ip.octets()[..6]).max(1),
        None => 0,
    }
}

/// Host without port, as sent (case folded by the callers that hash it).
pub fn host_name(host: &[u8]) -> &[u8] {
    if host.first() == Some(&b'[') {
        return host;
    }
    match host.iter().position(|&b| b == b':') {
        Some(colon) if host[colon + 1..].iter().all(u8::is_ascii_digit) => &host[..colon],
        _ => host,
    }
}

/// Key of a host name: lower case, without port or trailing dot. Zero when absent.
pub fn host_key(host: &[u8]) -> u64 {
    let host = host_name(host);
    let host = host.strip_suffix(b".").unwrap_or(host);
    if host.is_empty() || host == b"-" || host == b"_" {
        return 0;
    }
    xxh3_64(&host.to_ascii_lowercase()).max(1)
}

/// Brings a request target into one spelling on both sides of the join.
///
/// * absolute form loses scheme and authority; a fragment is dropped;
/// * percent escapes of bytes become the bytes (`%2F` too: some servers log the decoded form);
/// * log escapes `\xHH` (nginx, Apache) become the byte, `\"` and `\\` the character;
/// * `x{` becomes `${`: Logpush rewrites `${` when its CVE-2021-44228 option is on.
pub fn canonical_uri(uri: &[u8]) -> Cow<'_, [u8]> {
    let mut uri = uri;
    for scheme in [&b"http://"[..], b"https://"] {
        if uri.len() > scheme.len() && uri[..scheme.len()].eq_ignore_ascii_case(scheme) {
            let rest = &uri[scheme.len()..];
            uri = rest.iter().position(|&b| b == b'/').map_or(&b"/"[..], |slash| &rest[slash..]);
        }
    }
    if let Some(hash) = uri.iter().position(|&b| b == b'#') {
        uri = &uri[..hash];
    }
    if !uri.iter().any(|&b| matches!(b, b'%' | b'\\' | b'{')) {
        return Cow::Borrowed(uri);
    }
    let mut out = Vec::with_capacity(uri.len());
    let mut i = 0;
    while i < uri.len() {
        let b = uri[i];
        let hex = |at: usize| -> Option<u8> {
            let hi = (*uri.get(at)? as char).to_digit(16)?;
            let lo = (*uri.get(at + 1)? as char).to_digit(16)?;
            u8::try_from(hi * 16 + lo).ok()
        };
        if b == b'%'
            && let Some(byte) = hex(i + 1)
        {
            out.push(byte);
            i += 3;
        } else if b == b'\\'
            && uri.get(i + 1) == Some(&b'x')
            && let Some(byte) = hex(i + 2)
        {
            out.push(byte);
            i += 4;
        } else if b == b'\\' && matches!(uri.get(i + 1), Some(b'"' | b'\\')) {
            out.push(uri[i + 1]);
            i += 2;
        } else if b == b'{' && out.last() == Some(&b'x') {
            out.pop();
            out.extend_from_slice(b"${");
            i += 1;
        } else {
            out.push(b);
            i += 1;
        }
    }
    Cow::Owned(out)
}

/// Sixteen bits of hash of [`path_shape`]'s idea of a path, without allocating: every run of digits
/// counts as one digit, segments of 16 or more hexadecimal digits as one star, the query is left out.
pub fn shape_key(uri: &[u8]) -> u16 {
    let path = uri.split(|&b| b == b'?' || b == b'#').next().unwrap_or(uri);
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut add = |b: u8| hash = (hash ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3);
    for segment in path.split(|&b| b == b'/') {
        add(b'/');
        if segment.len() >= 16 && segment.iter().all(|b| b.is_ascii_hexdigit() || *b == b'-') {
            add(b'*');
            continue;
        }
        let mut in_digits = false;
        for &b in segment {
            if b.is_ascii_digit() {
                if !in_digits {
                    add(b'#');
                }
            } else {
                add(b);
            }
            in_digits = b.is_ascii_digit();
        }
    }
    (hash ^ hash >> 16 ^ hash >> 32 ^ hash >> 48) as u16
}

/// The path with what varies from request to request folded away, for grouping: runs of digits
/// become `#`, long hexadecimal or base64-like segments `*`, the query is dropped.
pub fn path_shape(uri: &str) -> String {
    let path = uri.split(['?', '#']).next().unwrap_or(uri);
    let mut out = String::with_capacity(path.len());
    for (i, segment) in path.split('/').enumerate() {
        if i > 0 {
            out.push('/');
        }
        let hexish = segment.len() >= 16 && segment.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
        let opaque = segment.len() >= 24
            && segment.bytes().any(|b| b.is_ascii_digit())
            && segment.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'='));
        if hexish || opaque {
            out.push('*');
            continue;
        }
        let mut in_digits = false;
        for c in segment.chars() {
            if c.is_ascii_digit() {
                if !in_digits {
                    out.push('#');
                }
                in_digits = true;
            } else {
                in_digits = false;
                out.push(c);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_meet() {
        assert_eq!(request_key(b"GET", b"/a%20b?q=%c3%a9"), request_key(b"get", b"/a\\x20b?q=\\xC3\\xA9"));
        assert_eq!(request_key(b"GET", b"/?x=x{jndi}"), request_key(b"GET", b"/?x=${jndi}"));
        assert_eq!(request_key(b"GET", b"http://h.example/p"), request_key(b"GET", b"/p"));
        assert_ne!(request_key(b"GET", b"/p?a=1"), request_key(b"GET", b"/p?a=2"));
        assert_ne!(request_key(b"POST", b"/p"), request_key(b"GET", b"/p"));
    }

    #[test]
    fn addresses_fold() {
        assert_eq!(addr_key(b"::ffff:192.0.2.1"), addr_key(b"192.0.2.1"));
        assert_eq!(addr_key(b"2001:db8::1"), addr_key(b"2001:0db8:0::1"));
        assert_eq!(addr_key(b"-"), 0);
    }

    #[test]
    fn shapes() {
        assert_eq!(path_shape("/product/1042?x=1"), "/product/#");
        assert_eq!(path_shape("/a/9e0ad402c9afa70a/b2"), "/a/*/b#");
    }
}
