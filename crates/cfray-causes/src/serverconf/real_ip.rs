//! Visitors' addresses behind Cloudflare: without them every limit and ban hits Cloudflare itself.

use super::ranges::{cidr, private};
use super::{Ctx, Fact, Found, Words, some};
use cfray_model::Cause;
use cfray_model::serverconf::{Directive, Weight};
use ipnet::IpNet;
use std::collections::BTreeMap;

const WHY: &str = "All visitors of a data centre come from a few addresses of Cloudflare's. A limit or ban that goes by address counts them \
    together and shuts Cloudflare out; where it closes without an answer, all visitors of that data centre get 520s.";
const CAUSES: &[Cause] = &[Cause::Throttled, Cause::EdgeIpBlocked, Cause::ClientBlocked];

fn nginx_fix(c: &Ctx<'_>, missing: &[IpNet]) -> String {
    let nets = if missing.is_empty() { &c.ranges.nets } else { missing };
    let lines: Vec<String> = nets.iter().map(|n| format!("set_real_ip_from {n};")).collect();
    format!("{} real_ip_header CF-Connecting-IP;", lines.join(" "))
}

/// `set_real_ip_from` and `real_ip_header` of each server.
pub fn nginx(c: &Ctx<'_>) -> Vec<Found> {
    /// Ranges, header, servers, and whether one of them listens on IPv6.
    type Group<'d> = (Vec<&'d Directive>, Option<&'d Directive>, Vec<String>, bool);
    let mut groups: BTreeMap<(u32, u32), Group<'_>> = BTreeMap::new();
    for s in &c.nginx.servers {
        let list = s.each("set_real_ip_from");
        let key = list.first().map_or((u32::MAX, 0), |d| (d.file, d.line));
        let slot = groups.entry(key).or_insert_with(|| (list, s.last("real_ip_header"), Vec::new(), false));
        slot.2.push(s.names.first().cloned().unwrap_or_else(|| s.title()));
        slot.3 |= s.ipv6();
    }
    let limited = c
        .nginx
        .all
        .iter()
        .find(|(_, d)| matches!(d.name.as_str(), "limit_req_zone" | "limit_conn_zone") && d.arg().contains("remote_addr"));
    let mut out = Vec::new();
    for (list, header, servers, ipv6) in groups.into_values() {
        let place = format!("server {}", some(&servers, 3));
        if list.is_empty() {
            if !c.tree.whole {
                continue;
            }
            let words = Words {
                what: match limited {
                    Some((_, d)) => format!("visitors' addresses are not restored, and {} counts by address", d.name),
                    None => "visitors' addresses are not restored".to_owned(),
                },
                value: "set_real_ip_from is not set".to_owned(),
                place,
                why: WHY,
                fix: nginx_fix(c, &[]),
            };
            let weight = if limited.is_some() { Weight::Risk } else { Weight::Note };
            out.push(c.found("nginx-real-ip", weight, limited.map(|(_, d)| *d), words, CAUSES).shows(Fact::NoRealIp));
            continue;
        }
        let nets: Vec<IpNet> = list.iter().filter_map(|d| cidr(d.arg())).collect();
        // A proxy or a tunnel stands between: what it sends is not Cloudflare's range.
        if nets.iter().all(private) {
            continue;
        }
        let found = c.ranges.compare(&nets);
        let found = if ipv6 || nets.iter().any(|n| matches!(n, IpNet::V6(_))) { found } else { found.ipv4_only() };
        if !found.clean() {
            let words = Words {
                what: format!("the list of trusted proxies {}", found.text()),
                value: c.ranges.share(&found.missing),
                place: place.clone(),
                why: WHY,
                fix: if found.missing.is_empty() {
                    "take the networks out that are no longer Cloudflare's: whoever has them now may claim any address".to_owned()
                } else {
                    nginx_fix(c, &found.missing)
                },
            };
            let weight = if found.missing.is_empty() { Weight::Note } else { Weight::Risk };
            out.push(c.found("nginx-real-ip", weight, list.first().copied(), words, CAUSES).shows(Fact::Misses(found.missing)));
        }
        let name = header.map_or("X-Real-IP", |d| d.arg());
        if !["cf-connecting-ip", "x-forwarded-for", "true-client-ip", "cf-connecting-ipv6"].contains(&name.to_ascii_lowercase().as_str()) {
            let words = Words {
                what: format!("the visitor's address is taken from {name}, which Cloudflare does not send"),
                value: name.to_owned(),
                place,
                why: WHY,
                fix: "real_ip_header CF-Connecting-IP;".to_owned(),
            };
            out.push(c.found("nginx-real-ip", Weight::Risk, header.or(list.first().copied()), words, CAUSES).shows(Fact::NoRealIp));
        }
    }
    out
}

/// mod_remoteip.
pub fn apache(c: &Ctx<'_>) -> Vec<Found> {
    let v = &c.apache;
    let header = v.each("RemoteIPHeader").last();
    let Some(header) = header else {
        if !c.tree.whole {
            return Vec::new();
        }
        let words = Words {
            what: "visitors' addresses are not restored".to_owned(),
            value: "RemoteIPHeader is not set".to_owned(),
            place: "main server".to_owned(),
            why: WHY,
            fix: format!(
                "a2enmod remoteip, then: RemoteIPHeader CF-Connecting-IP, RemoteIPTrustedProxy {}, and %a in place of %h in LogFormat",
                c.ranges.nets.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
            ),
        };
        return vec![c.found("apache-real-ip", Weight::Note, None, words, CAUSES).shows(Fact::NoRealIp)];
    };
    let mut out = Vec::new();
    let lists: Vec<&super::apache::Setting<'_>> =
        v.all.iter().filter(|s| s.d.is("RemoteIPTrustedProxy") || s.d.is("RemoteIPInternalProxy")).collect();
    // A list in a file of its own is not read; without any list every proxy is trusted.
    let elsewhere = v.all.iter().any(|s| s.d.is("RemoteIPTrustedProxyList") || s.d.is("RemoteIPInternalProxyList"));
    let nets: Vec<IpNet> = lists.iter().flat_map(|s| s.d.args.iter()).filter_map(|a| cidr(a)).collect();
    if let Some(first) = lists.first().filter(|_| !elsewhere && !nets.iter().all(private)) {
        let found = c.ranges.compare(&nets);
        let found = if nets.iter().any(|n| matches!(n, IpNet::V6(_))) { found } else { found.ipv4_only() };
        if !found.clean() {
            let words = Words {
                what: format!("the list of trusted proxies {}", found.text()),
                value: c.ranges.share(&found.missing),
                place: first.place(),
                why: WHY,
                fix: format!("RemoteIPTrustedProxy {}", c.ranges.nets.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")),
            };
            let weight = if found.missing.is_empty() { Weight::Note } else { Weight::Risk };
            out.push(c.found("apache-real-ip", weight, Some(first.d), words, CAUSES).shows(Fact::Misses(found.missing)));
        }
    }
    if !["cf-connecting-ip", "x-forwarded-for", "true-client-ip"].contains(&header.d.arg().to_ascii_lowercase().as_str()) {
        let words = Words {
            what: format!("the visitor's address is taken from {}, which Cloudflare does not send", header.d.arg()),
            value: header.d.arg().to_owned(),
            place: header.place(),
            why: WHY,
            fix: "RemoteIPHeader CF-Connecting-IP".to_owned(),
        };
        out.push(c.found("apache-real-ip", Weight::Risk, Some(header.d), words, CAUSES).shows(Fact::NoRealIp));
    }
    out
}
