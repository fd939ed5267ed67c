//! Lists of who may connect, held against Cloudflare's ranges.

use super::ranges::{Comparison, cidr};
use super::{Ctx, Fact, Found, Words};
use cfray_model::Cause;
use cfray_model::serverconf::{Directive, Weight};
use ipnet::IpNet;

const WHY: &str = "Cloudflare connects from every network of its list, and which one a visitor's data centre uses changes. Requests from a \
    network that the list lacks are refused: a valid 403 by itself, a 520 where the refusal is a 444 or a dropped connection.";

fn fix(what: &str, missing: &[IpNet]) -> String {
    let lines: Vec<String> = missing.iter().map(|n| what.replace("{}", &n.to_string())).collect();
    if lines.is_empty() {
        "take the networks out that are no longer Cloudflare's (https://www.cloudflare.com/ips/)".to_owned()
    } else {
        lines.join(" ")
    }
}

/// Says what a list lacks; nothing if it is whole or no list of Cloudflare's networks.
fn compare(c: &Ctx<'_>, list: &[IpNet], ipv6: bool) -> Option<Comparison> {
    let ipv6 = ipv6 || list.iter().any(|n| matches!(n, IpNet::V6(_)));
    let found = c.ranges.compare(list);
    let found = if ipv6 { found } else { found.ipv4_only() };
    (found.meant() && !found.clean()).then_some(found)
}

fn weight(found: &Comparison) -> Weight {
    if found.missing.is_empty() { Weight::Note } else { Weight::Risk }
}

/// `allow`/`deny` lists and `geo` blocks.
pub fn nginx(c: &Ctx<'_>) -> Vec<Found> {
    let mut out = Vec::new();
    let ipv6 = c.nginx.servers.iter().any(super::nginx::Server::ipv6);
    // Blocks that hold an allow list with a deny behind it.
    let mut blocks: Vec<(&[Directive], String)> = vec![(c.tree.directives.as_slice(), "main".to_owned())];
    for (around, d) in c.nginx.all.iter().filter(|(_, d)| matches!(d.name.as_str(), "http" | "server" | "location" | "limit_except")) {
        let mut path = around.clone();
        path.push(d);
        blocks.push((d.inside(), super::nginx::place(&c.nginx, &path)));
    }
    for (block, place) in blocks {
        let allowed: Vec<&Directive> = block.iter().filter(|d| d.name == "allow").collect();
        let list: Vec<IpNet> = allowed.iter().filter_map(|d| cidr(d.arg())).collect();
        let closed = block.iter().any(|d| d.name == "deny" && d.arg() == "all");
        if let (true, Some(found)) = (closed, compare(c, &list, ipv6)) {
            let words = Words {
                what: format!("the list of networks that may ask {}", found.text()),
                value: c.ranges.share(&found.missing),
                place,
                why: WHY,
                fix: fix("allow {};", &found.missing),
            };
            let f = c.found("nginx-access", weight(&found), allowed.first().copied(), words, &[Cause::EdgeIpBlocked]);
            out.push(f.shows(Fact::Misses(found.missing)));
        }
        let denied: Vec<(&Directive, IpNet)> =
            block.iter().filter(|d| d.name == "deny").filter_map(|d| Some((d, cidr(d.arg())?))).collect();
        for (d, net) in denied {
            let hit: Vec<IpNet> = c.ranges.nets.iter().filter(|n| n.contains(&net) || net.contains(*n)).copied().collect();
            if !hit.is_empty() && !block.iter().any(|d| d.name == "set_real_ip_from") {
                let words = Words {
                    what: format!("{net} is denied, which Cloudflare connects from"),
                    value: format!("part of {}", super::some(&hit.iter().map(ToString::to_string).collect::<Vec<_>>(), 3)),
                    place: "deny list".to_owned(),
                    why: WHY,
                    fix: "take the line out; block visitors by their restored address or in Cloudflare's WAF".to_owned(),
                };
                out.push(c.found("nginx-access", Weight::Risk, Some(d), words, &[Cause::EdgeIpBlocked]).shows(Fact::Misses(vec![net])));
            }
        }
    }
    for (around, d) in c.nginx.all.iter().filter(|(_, d)| d.name == "geo") {
        let list: Vec<IpNet> = d.inside().iter().filter_map(|e| cidr(&e.name)).collect();
        if let Some(found) = compare(c, &list, ipv6) {
            let words = Words {
                what: format!("the geo list of Cloudflare's networks {}", found.text()),
                value: c.ranges.share(&found.missing),
                place: format!("geo {}", d.args.join(" ")),
                why: WHY,
                fix: fix("{} 1;", &found.missing),
            };
            let _ = around;
            out.push(c.found("nginx-access", weight(&found), Some(d), words, &[Cause::EdgeIpBlocked]).shows(Fact::Misses(found.missing)));
        }
    }
    out
}

/// `Require ip`, `Allow from`: those of one section are one list.
pub fn apache(c: &Ctx<'_>) -> Vec<Found> {
    let mut lists: Vec<(Vec<*const Directive>, &Directive, String, Vec<IpNet>)> = Vec::new();
    for s in &c.apache.all {
        let nets: Vec<IpNet> = if s.d.is("Require") && s.d.arg().eq_ignore_ascii_case("ip") {
            s.d.args.iter().skip(1).filter_map(|a| cidr(a)).collect()
        } else if s.d.is("Allow") && s.d.arg().eq_ignore_ascii_case("from") {
            s.d.args.iter().skip(1).filter_map(|a| cidr(a)).collect()
        } else {
            continue;
        };
        let section: Vec<*const Directive> = s.around.iter().map(|d| std::ptr::from_ref(*d)).collect();
        match lists.iter_mut().find(|l| l.0 == section) {
            Some(list) => list.3.extend(nets),
            None => lists.push((section, s.d, s.place(), nets)),
        }
    }
    lists
        .into_iter()
        .filter_map(|(_, first, place, list)| {
            let found = compare(c, &list, false)?;
            let words = Words {
                what: format!("the list of networks that may ask {}", found.text()),
                value: c.ranges.share(&found.missing),
                place,
                why: WHY,
                fix: fix("Require ip {}\n", &found.missing).trim_end().to_owned(),
            };
            Some(c.found("apache-access", weight(&found), Some(first), words, &[Cause::EdgeIpBlocked]).shows(Fact::Misses(found.missing)))
        })
        .collect()
}
