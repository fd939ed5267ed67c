//! `--redact`: addresses and query values become pseudonyms, the same for the same value in one run.

use crate::digest::pseudonym;
use crate::mask::MASK;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Pseudonyms under one key.
#[derive(Debug)]
pub struct Pseudonyms {
    key: [u8; 32],
}

/// Products whose four-part version numbers look like addresses in user agents.
const PRODUCTS: [&str; 14] = [
    "Chrome",
    "HeadlessChrome",
    "Chromium",
    "CriOS",
    "Edg",
    "EdgA",
    "EdgiOS",
    "OPR",
    "YaBrowser",
    "SamsungBrowser",
    "Vivaldi",
    "Brave",
    "Electron",
    "Version",
];

impl Pseudonyms {
    /// Under the run's key.
    pub fn new(key: [u8; 32]) -> Self {
        Self { key }
    }

    /// A whole field that holds an address (or, from a broken job, anything else).
    pub fn address(&self, text: &str) -> String {
        match text.parse::<IpAddr>() {
            Ok(address) => self.ip(address),
            Err(_) => self.addresses(text).unwrap_or_else(|| text.to_owned()),
        }
    }

    /// Every spelling of an address gets the same name.
    fn ip(&self, address: IpAddr) -> String {
        let canonical = address.to_canonical().to_string();
        format!("ip-{}", pseudonym(&self.key, "ip", canonical.as_bytes()))
    }

    /// Addresses inside a text. `None`: there are none.
    pub fn addresses(&self, text: &str) -> Option<String> {
        let dotted = self.plain_addresses(text);
        let found = hyphened(dotted.as_deref().unwrap_or(text));
        if found.is_empty() {
            return dotted;
        }
        let text = dotted.as_deref().unwrap_or(text);
        let (mut out, mut last) = (String::with_capacity(text.len()), 0);
        for (from, to, address) in found {
            out.push_str(text.get(last..from)?);
            out.push_str(&self.ip(IpAddr::V4(address)));
            last = to;
        }
        out.push_str(text.get(last..)?);
        Some(out)
    }

    fn plain_addresses(&self, text: &str) -> Option<String> {
        let bytes = text.as_bytes();
        let part = |b: u8| b.is_ascii_hexdigit() || b == b':' || b == b'.';
        let mut out: Option<String> = None;
        let (mut last, mut at) = (0, 0);
        while at < bytes.len() {
            if !bytes.get(at).copied().is_some_and(part) {
                at += 1;
                continue;
            }
            let start = at;
            while bytes.get(at).copied().is_some_and(part) {
                at += 1;
            }
            let inside_word = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_');
            let glued = inside_word(start.checked_sub(1).and_then(|i| bytes.get(i))) || inside_word(bytes.get(at));
            let run = text.get(start..at)?;
            for (from, to, address) in find(run, glued) {
                if is_version(text, start + from) {
                    continue;
                }
                let out = out.get_or_insert_with(String::new);
                out.push_str(text.get(last..start + from)?);
                out.push_str(&self.ip(address));
                last = start + to;
            }
        }
        let mut out = out?;
        out.push_str(text.get(last..)?);
        Some(out)
    }

    /// Values of queries inside a text. `None`: there are none.
    pub fn queries(&self, text: &str) -> Option<String> {
        let mut out = String::new();
        let mut last = 0;
        let marks = text.match_indices('?').map(|(at, _)| at + 1);
        let members = ["\"args\":\"", "\"query\":\"", "\"query_string\":\"", "\"qs\":\""];
        let members = members.iter().flat_map(|mark| text.match_indices(mark).map(|(at, mark)| at + mark.len()));
        let mut starts: Vec<usize> = marks.chain(members).collect();
        starts.sort_unstable();
        for start in starts {
            if start < last {
                continue;
            }
            let rest = text.get(start..)?;
            let len =
                rest.find(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '"' | '\'' | '<' | '>' | '`')).unwrap_or(rest.len());
            let query = rest.get(..len)?;
            if query.is_empty() {
                continue;
            }
            out.push_str(text.get(last..start)?);
            self.query(query, &mut out);
            last = start + len;
        }
        if last == 0 {
            return None;
        }
        out.push_str(text.get(last..)?);
        Some(out)
    }

    fn query(&self, query: &str, out: &mut String) {
        for piece in query.split_inclusive(['&', ';']) {
            let (pair, end) = match piece.char_indices().next_back() {
                Some((at, '&' | ';')) => piece.split_at(at),
                _ => (piece, ""),
            };
            let (name, value) = match pair.split_once('=') {
                Some((name, value)) => (Some(name), value),
                // A query without `=` is one value; a word among pairs is a name.
                None if query == piece => (None, pair),
                None => (Some(pair), ""),
            };
            if let Some(name) = name {
                out.push_str(name);
                if pair.len() > name.len() {
                    out.push('=');
                }
            }
            if value.is_empty() || value == MASK {
                out.push_str(value);
            } else {
                out.push_str("v-");
                out.push_str(&pseudonym(&self.key, "value", value.as_bytes()));
            }
            out.push_str(end);
        }
    }
}

/// Addresses with hyphens for dots, as clouds and providers name machines: `ip-10-0-0-5`, `host-203-0-113-9.isp.example`.
fn hyphened(text: &str) -> Vec<(usize, usize, Ipv4Addr)> {
    let bytes = text.as_bytes();
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let from = at;
        if !digit(at) {
            at += 1;
            continue;
        }
        // A run of groups of digits with single hyphens between them.
        let mut groups: Vec<&str> = Vec::new();
        loop {
            let start = at;
            while digit(at) {
                at += 1;
            }
            groups.push(text.get(start..at).unwrap_or_default());
            if bytes.get(at) == Some(&b'-') && digit(at + 1) {
                at += 1;
            } else {
                break;
            }
        }
        let word = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
        if groups.len() != 4 || word(from.checked_sub(1).and_then(|i| bytes.get(i))) || word(bytes.get(at)) {
            continue;
        }
        // More than three digits, or a number over 255, is no part of an address: dates stay.
        if let Ok(address) = groups.join(".").parse::<Ipv4Addr>() {
            found.push((from, at, address));
        }
    }
    found
}

/// Addresses in a run of hex digits, colons and dots. Glued to a word, only whole dotted ones count.
fn find(run: &str, glued: bool) -> Vec<(usize, usize, IpAddr)> {
    let trimmed = run.trim_end_matches(['.', ':']);
    if !glued && trimmed.len() > 2 {
        // `fe80::` keeps its colons.
        for candidate in [run, trimmed, trimmed.trim_start_matches('.')] {
            let from = run.len() - run.trim_start_matches('.').len();
            let from = if candidate.len() == run.len() || candidate.len() == trimmed.len() { 0 } else { from };
            if candidate.contains("::") || candidate.matches(':').count() == 7 {
                if let Ok(address) = candidate.parse::<Ipv6Addr>() {
                    return vec![(from, from + candidate.len(), IpAddr::V6(address))];
                }
                // An address with its port: 2001:db8::1:443 reads as one address; 1:2:…:8:443 does not.
                if let Some((head, _)) = candidate.rsplit_once(':')
                    && let Ok(address) = head.parse::<Ipv6Addr>()
                {
                    return vec![(from, from + head.len(), IpAddr::V6(address))];
                }
            }
        }
    }
    let mut found = Vec::new();
    let mut from = 0;
    for piece in run.split_inclusive(':') {
        let bare = piece.trim_end_matches(':').trim_end_matches('.');
        let lead = bare.len() - bare.trim_start_matches('.').len();
        if let Some(Ok(address)) = bare.get(lead..).map(str::parse::<Ipv4Addr>) {
            found.push((from + lead, from + bare.len(), IpAddr::V4(address)));
        }
        from += piece.len();
    }
    found
}

/// `Chrome/120.0.0.0`.
fn is_version(text: &str, at: usize) -> bool {
    let Some(before) = text.get(..at).and_then(|t| t.strip_suffix('/')) else { return false };
    PRODUCTS.iter().any(|product| before.ends_with(product))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_an_address_gets_one_name() {
        let names = Pseudonyms::new([7; 32]);
        let ip = names.address("10.0.0.5");
        for (text, expected) in [
            ("ip-10-0-0-5", format!("ip-{ip}")),
            ("Nov 22 12:24:07 ip-10-0-0-5.eu-central-1.compute.internal nginx: from 10.0.0.5", {
                format!("Nov 22 12:24:07 ip-{ip}.eu-central-1.compute.internal nginx: from {ip}")
            }),
            ("access-10.0.0.5.log", format!("access-{ip}.log")),
        ] {
            assert_eq!(names.addresses(text), Some(expected), "{text}");
        }
        for text in ["2026-11-22-10", "1-2-3-4-5", "v1-2-3-4a", "10-0-0-256", "a-b-c-d", "-"] {
            assert_eq!(names.addresses(text), None, "{text}");
        }
    }
}
