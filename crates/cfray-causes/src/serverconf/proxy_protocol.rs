//! Listeners that wait for a PROXY header, which Cloudflare does not send to web ports.

use super::nginx::{place, server_of};
use super::{Ctx, Fact, Found, Words};
use cfray_model::Cause;
use cfray_model::serverconf::Weight;

const WHY: &str = "The listener reads a line with the client's address before the request. Cloudflare sends the request at once, the server takes \
    it for a broken header and closes: 520 on a plain port, 525 on a TLS port.";

/// `listen ... proxy_protocol`.
pub fn nginx(c: &Ctx<'_>) -> Vec<Found> {
    let listens = c.nginx.all.iter().filter(|(around, d)| d.name == "listen" && around.last().is_some_and(|a| a.name == "server"));
    listens
        .filter(|(around, d)| !around.iter().any(|a| a.name == "stream") && d.args.iter().skip(1).any(|a| a == "proxy_protocol"))
        .map(|(around, d)| {
            let words = Words {
                what: format!("port {} expects PROXY protocol", d.arg().rsplit(':').next().unwrap_or_default()),
                value: d.args.join(" "),
                place: place(&c.nginx, around),
                why: WHY,
                fix: format!(
                    "listen {}; if Cloudflare connects here, with real_ip_header CF-Connecting-IP; (a load balancer in front that adds the header is fine)",
                    d.args.iter().filter(|a| *a != "proxy_protocol").cloned().collect::<Vec<_>>().join(" ")
                ),
            };
            let hosts = server_of(&c.nginx, around).map(|s| s.names.clone()).unwrap_or_default();
            c.found("nginx-proxy-protocol", Weight::Closes, Some(d), words, &[Cause::ProxyProtocol]).shows(Fact::ProxyProtocol).of_hosts(hosts)
        })
        .collect()
}

/// `RemoteIPProxyProtocol On`.
pub fn apache(c: &Ctx<'_>) -> Vec<Found> {
    c.apache
        .each("RemoteIPProxyProtocol")
        .filter(|s| s.d.arg().eq_ignore_ascii_case("on"))
        .map(|s| {
            let words = Words {
                what: "the server expects PROXY protocol".to_owned(),
                value: format!("On{}", s.condition()),
                place: s.place(),
                why: WHY,
                fix: "RemoteIPProxyProtocol Off if Cloudflare connects here (a load balancer in front that adds the header is fine)"
                    .to_owned(),
            };
            c.found("apache-proxy-protocol", Weight::Closes, Some(s.d), words, &[Cause::ProxyProtocol]).shows(Fact::ProxyProtocol)
        })
        .collect()
}
