//! The keys of a row, as [`cfray_model::key`] makes them, without allocating for each.

use super::simd;
use cfray_model::key;
use std::borrow::Cow;

/// Buffers that are used again for every row.
#[derive(Default, Debug)]
pub(crate) struct KeyMaker {
    buf: Vec<u8>,
    /// The last host as sent, and as it stands in keys.
    host: Vec<u8>,
    host_key: Vec<u8>,
    shapes: Vec<(Vec<u8>, u16)>,
}

/// Entries of the memory for path shapes; a power of two.
const SHAPES: usize = 512;

impl KeyMaker {
    /// [`key::request_key`], [`key::page_key`] and [`key::shape_key`] of one request; the first is 0 without a method.
    pub fn request(&mut self, method: Option<&[u8]>, host: &[u8], uri: &[u8]) -> (u64, u64, u16) {
        let plain = is_canonical(uri);
        let canonical = if plain { Cow::Borrowed(uri) } else { key::canonical_uri(uri) };
        let request = method.map_or(0, |method| {
            self.buf.clear();
            self.buf.extend_from_slice(method);
            self.buf.make_ascii_uppercase();
            self.buf.push(b' ');
            self.buf.extend_from_slice(&canonical);
            key::bytes_key(&self.buf).max(1)
        });
        let path = memchr::memchr(b'?', &canonical).map_or(&*canonical, |at| canonical.get(..at).unwrap_or_default());
        if self.host != host {
            self.host.clear();
            self.host.extend_from_slice(host);
            self.host_key.clear();
            self.host_key.extend_from_slice(key::host_name(host));
            self.host_key.make_ascii_lowercase();
        }
        self.buf.clear();
        self.buf.extend_from_slice(&self.host_key);
        self.buf.push(b' ');
        self.buf.extend_from_slice(path);
        let page = key::bytes_key(&self.buf).max(1);
        // A shape is that of the target as sent.
        let shape = if plain { self.shape(path, page) } else { key::shape_key(uri) };
        (request, page, shape)
    }

    /// [`key::shape_key`] of a path without query and fragment, remembered for paths that come again. `page` is any hash of it.
    fn shape(&mut self, path: &[u8], page: u64) -> u16 {
        if path.len() > 256 {
            return key::shape_key(path);
        }
        if self.shapes.is_empty() {
            self.shapes = vec![(Vec::new(), key::shape_key(b"")); SHAPES];
        }
        let Some((known, shape)) = self.shapes.get_mut(page as usize % SHAPES) else { return key::shape_key(path) };
        if known != path {
            known.clear();
            known.extend_from_slice(path);
            *shape = key::shape_key(path);
        }
        *shape
    }
}

/// Low half of [`key::addr_key`]; plain IPv4 text without the general parser.
pub(crate) fn addr(text: &[u8]) -> u32 {
    match ipv4(text) {
        Some(octets) => key::bytes_key(&octets).max(1) as u32,
        None => key::addr_key(text) as u32,
    }
}

/// Is the request target one that [`key::canonical_uri`] leaves alone?
fn is_canonical(uri: &[u8]) -> bool {
    uri.first() == Some(&b'/') && !simd::holds_any(uri, b"#%\\{")
}

/// Dotted decimal as the standard library reads it: no leading zeros.
fn ipv4(text: &[u8]) -> Option<[u8; 4]> {
    let mut octets = [0u8; 4];
    let mut rest = text.iter();
    for (i, octet) in octets.iter_mut().enumerate() {
        let mut value = 0u32;
        let mut digits = 0;
        loop {
            match rest.next() {
                Some(&b @ b'0'..=b'9') => {
                    if digits == 3 || digits > 0 && value == 0 {
                        return None;
                    }
                    value = value * 10 + u32::from(b - b'0');
                    digits += 1;
                }
                Some(b'.') if i < 3 => break,
                None if i == 3 => break,
                _ => return None,
            }
        }
        if digits == 0 {
            return None;
        }
        *octet = u8::try_from(value).ok()?;
    }
    Some(octets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn same_as_the_models_keys(method in "[A-Za-z]{0,8}", host in "[A-Za-z0-9.:\\[\\]-]{0,20}", uri in "(https?://h)?/?[a-f0-9?#%/x{\\\\\"]{0,40}") {
            let mut keys = KeyMaker::default();
            let (m, h, u) = (method.as_bytes(), host.as_bytes(), uri.as_bytes());
            for _ in 0..2 {
                prop_assert_eq!(keys.request(Some(m), h, u), (key::request_key(m, u), key::page_key(h, u), key::shape_key(u)));
                prop_assert_eq!(keys.request(None, h, u).0, 0);
            }
        }

        #[test]
        fn same_addresses(addr_text in "(([0-9]{1,4}\\.){3}[0-9]{0,4}|[0-9.]{0,16}|::ffff:1.2.3.4|[a-f0-9:]{0,20}|-)") {
            prop_assert_eq!(addr(addr_text.as_bytes()), key::addr_key(addr_text.as_bytes()) as u32);
        }
    }
}
