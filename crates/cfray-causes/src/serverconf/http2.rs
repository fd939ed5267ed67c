//! HTTP/2 between Cloudflare and the origin.

use super::nginx::place;
use super::{Ctx, Found, Words};
use cfray_model::Cause;
use cfray_model::serverconf::Weight;

/// Cloudflare puts up to this many requests on one connection (100 or 200, by page).
const STREAMS: u64 = 100;

/// Limits that are lower than what Cloudflare uses, and directives that do nothing any more.
pub fn nginx(c: &Ctx<'_>) -> Vec<Found> {
    let mut out = Vec::new();
    for (around, d) in &c.nginx.all {
        let (what, why, fix): (String, &str, &str) = match d.name.as_str() {
            "http2_max_concurrent_streams" => match d.arg().parse::<u64>() {
                Ok(n) if n < STREAMS => (
                    format!("{n} requests at a time on an HTTP/2 connection"),
                    "Cloudflare honours the limit and opens more connections; on a burst new ones are needed just when the server is busiest.",
                    "http2_max_concurrent_streams 128;",
                ),
                _ => continue,
            },
            "http2_max_field_size" | "http2_max_header_size" => (
                format!("{} does nothing since nginx 1.19.7", d.name),
                "The limit for request headers over HTTP/2 is large_client_header_buffers since then; going over it ends the connection with every \
                 request on it.",
                "large_client_header_buffers 8 16k; in its place",
            ),
            "http2_max_requests" | "http2_idle_timeout" | "http2_recv_timeout" => (
                format!("{} does nothing since nginx 1.19.7", d.name),
                "keepalive_requests and keepalive_timeout hold for HTTP/2, too, since then.",
                "keepalive_timeout 910s; keepalive_requests 1000; in its place",
            ),
            _ => continue,
        };
        let words = Words { what, value: d.arg().to_owned(), place: place(&c.nginx, around), why, fix: fix.to_owned() };
        out.push(c.found("nginx-http2", Weight::Note, Some(d), words, &[Cause::Http2Fault, Cause::RequestRejected]));
    }
    out
}

/// h2 on prefork, and low limits of streams.
pub fn apache(c: &Ctx<'_>) -> Vec<Found> {
    let v = &c.apache;
    let mut out = Vec::new();
    let on = v.each("Protocols").find(|s| s.d.args.iter().any(|a| a.eq_ignore_ascii_case("h2")));
    if let (Some(s), Some("prefork")) = (on, v.mpm) {
        let words = Words {
            what: "HTTP/2 is offered on MPM prefork, which does not carry it".to_owned(),
            value: s.d.args.join(" "),
            place: s.place(),
            why: "mod_http2 switches itself off on prefork (AH10034). A proxy or an old module that offers h2 all the same accepts it and cannot speak \
                  it: 520.",
            fix: "Protocols http/1.1, or change to MPM event".to_owned(),
        };
        out.push(c.found("apache-http2", Weight::Risk, Some(s.d), words, &[Cause::Http2Fault]));
    }
    for s in v.each("H2MaxSessionStreams") {
        if s.d.arg().parse::<u64>().is_ok_and(|n| n < STREAMS) {
            let words = Words {
                what: format!("{} requests at a time on an HTTP/2 connection", s.d.arg()),
                value: format!("{}{}", s.d.arg(), s.condition()),
                place: s.place(),
                why: "Cloudflare honours the limit and opens more connections; on a burst new ones are needed just when the server is busiest.",
                fix: "H2MaxSessionStreams 100".to_owned(),
            };
            out.push(c.found("apache-http2", Weight::Note, Some(s.d), words, &[Cause::Http2Fault]));
        }
    }
    out
}
