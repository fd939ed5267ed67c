//! Header buffers: what a request may bring, and what an answer may carry.

use super::nginx::place;
use super::units::bytes;
use super::{Ctx, Fact, Found, Words};
use crate::limits;
use cfray_model::Cause;
use cfray_model::serverconf::Weight;

fn limit(name: &str) -> u64 {
    limits::limit_at(name, i64::MAX).and_then(|l| u64::try_from(l.value).ok()).unwrap_or(0)
}

/// nginx's buffers.
pub fn nginx(c: &Ctx<'_>) -> Vec<Found> {
    let mut out = requests(c);
    let most = limits::header_limit(i64::MAX);
    let names = ["proxy_buffer_size", "fastcgi_buffer_size", "uwsgi_buffer_size", "scgi_buffer_size"];
    for (around, d) in c.nginx.all.iter().filter(|(_, d)| names.contains(&d.name.as_str())) {
        let Some(size) = bytes(d.arg()).filter(|size| *size > most) else { continue };
        let words = Words {
            what: format!("response headers of up to {} KB pass, Cloudflare takes {} KB", size >> 10, most >> 10),
            value: d.arg().to_owned(),
            place: place(&c.nginx, around),
            why: "A smaller buffer turns oversized headers of the application into a valid 502. This one hands them to Cloudflare, which gives \
                  up at its limit: 520.",
            fix: format!("{} 64k; and trim the headers (Set-Cookie, Link, Content-Security-Policy)", d.name),
        };
        out.push(c.found("nginx-headers", Weight::Risk, Some(d), words, &[Cause::HeadersTooLarge]).shows(Fact::LargeHeaders));
    }
    out
}

/// Over HTTP/2 a request header beyond `large_client_header_buffers` ends the whole connection.
fn requests(c: &Ctx<'_>) -> Vec<Found> {
    let most = limit("cloudflare.request_header");
    let mut seen = Vec::new();
    let mut out = Vec::new();
    for s in c.nginx.servers.iter().filter(|s| s.http2()) {
        let d = s.last("large_client_header_buffers");
        let key = d.map(|d| (d.file, d.line));
        if seen.contains(&key) || (d.is_none() && !c.tree.whole) {
            continue;
        }
        seen.push(key);
        let number = d.map_or(limit("nginx.large_client_header_buffers"), |d| d.arg().parse().unwrap_or(0));
        let size = d.map_or(limit("nginx.large_client_header_buffer_size"), |d| d.args.get(1).and_then(|a| bytes(a)).unwrap_or(0));
        let all = number.saturating_mul(size);
        if all == 0 || (all >= most && size >= limit("cloudflare.request_url")) {
            continue;
        }
        let value = match d {
            Some(_) => format!("{number} of {} KB", size >> 10),
            None => format!("{number} of {} KB ({})", size >> 10, c.default_note("nginx")),
        };
        let words = Words {
            what: format!(
                "request headers of more than {} KB end an HTTP/2 connection, Cloudflare sends up to {} KB",
                all >> 10,
                most >> 10
            ),
            value,
            place: s.title(),
            why: "Over HTTP/1.1 a request header over the limit gets a valid 400. Over HTTP/2 nginx ends the connection, and every request under \
                  way on it fails with it; the log says so at level info only.",
            fix: "large_client_header_buffers 8 16k; in http {} (taken only when a request needs them)".to_owned(),
        };
        let weight = if d.is_some() { Weight::Risk } else { Weight::Note };
        out.push(c.found("nginx-headers", weight, d, words, &[Cause::RequestRejected, Cause::Http2Fault]));
    }
    out
}

/// Apache: a request over its limits gets a valid 400 or 414.
pub fn apache(c: &Ctx<'_>) -> Vec<Found> {
    c.apache
        .all
        .iter()
        .filter(|s| s.d.is("LimitRequestFieldSize") || s.d.is("LimitRequestLine"))
        .filter_map(|s| {
            let size: u64 = s.d.arg().parse().ok()?;
            (size < limit("apache.limit_request_field_size")).then(|| {
                let words = Words {
                    what: format!("{} is set below Apache's default", s.d.name),
                    value: format!("{size} bytes{}", s.condition()),
                    place: s.place(),
                    why: "A longer cookie or address is refused: a valid 400 or 414 over HTTP/1.1, a reset stream over HTTP/2.",
                    fix: format!("{} 16380", s.d.name),
                };
                c.found("apache-request-headers", Weight::Note, Some(s.d), words, &[Cause::RequestRejected])
            })
        })
        .collect()
}
